"""Pictures of cases: the right image, the right boxes, the right words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_shards import made_record, write_shards
from prediction_cases import box_map, prediction_of, truth_of
from report_methods import CLASSES, made_card

from orchestrator.pages.panels import Box
from orchestrator.pages.pipeline.cases import Case, Chosen
from orchestrator.pages.pipeline.pictures import Row, rows_of
from workloads.errors import IntegrityError, TooLarge
from workloads.images.decode import ImageLimits
from workloads.predictions.store import write_predictions
from workloads.shards.shards import Shards

CARD = made_card(cutoff=0.5, score_threshold=0.5)
TRUTH = truth_of((0, 0, 10, 10, 0), (10, 10, 20, 20, 2))
HEAT = box_map(20, 20, (0, 0, 10, 10, 1.0))


def rows(
    folder: Path,
    label: int,
    scores: list[float],
    maps: dict[int, np.ndarray],
    image_id: str = "a",
    limits: ImageLimits | None = None,
) -> list[Row]:
    """One case of two images, of which the second is asked for by default."""
    made = [made_record(i, TRUTH, (20, 20), split="test") for i in ("b", "a")]
    shards = Shards.open(write_shards(folder / "s", made, CLASSES))
    predictions = [prediction_of(i, TRUTH, scores, maps) for i in ("b", "a")]
    (folder / "p").mkdir()
    write_predictions(folder / "p" / "part-00000.parquet", predictions)
    case = Case(image_id, 0, label, True, False, (1.0,), (True,), 0.25)
    chosen = [Chosen("found by all", case)]
    return list(rows_of(chosen, [(folder / "p", CARD)], shards, "test", limits or ImageLimits()))


def test_the_truth_first_then_each_method(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, 0, [0.9, 0.8, 0.1], dict.fromkeys(range(3), HEAT))
    assert (row.kind, row.image_id, row.shown) == ("found by all", "a", "cat")
    truth, found = row.panels
    assert truth.alt == "test image with the true boxes of cat, owl"
    assert truth.found == ()
    # The class of the case is plain, what else was found is faint, and so is nobody's truth.
    assert found.found == (
        Box(0, 0, 50, 50, "cat"),
        Box(0, 0, 50, 50, "dog", faint=True),
    )
    assert found.truth == (Box(0, 0, 50, 50),)
    assert found.notes == ("cat 0.90 · 1.00", "dog 0.80 · absent")
    assert found.alt.startswith("map over the image; found: cat 0.90")


def test_nothing_found_is_said(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, 2, [0.1, 0.1, 0.1], {2: HEAT})
    assert row.panels[1].notes == ("nothing found",)
    assert row.panels[1].truth == (Box(50, 50, 50, 50),)


def test_a_class_without_a_stored_map_shows_the_image_alone(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, 2, [0.9, 0.1, 0.1], {0: HEAT})
    truth, found = row.panels
    assert found.alt.startswith("no map of this class is stored; found: cat 0.90")
    assert found.uri == truth.uri


def test_shards_and_predictions_of_different_images_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError) as caught:
        rows(tmp_path, 0, [0.9, 0.1, 0.1], {0: HEAT}, image_id="gone")
    assert str(caught.value) == (
        "image gone: not where the predictions say; make shards and predictions again"
    )


def test_limits_hold_for_pictures_too(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        rows(tmp_path, 0, [0.9, 0.1, 0.1], {0: HEAT}, limits=ImageLimits(max_pixels=399))
