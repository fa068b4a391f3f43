"""Cases of a report from predictions made by hand: overlap, area, what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from prediction_cases import box_map, prediction_of, truth_of
from report_methods import made_card

from orchestrator.pages.pipeline import cases as module
from orchestrator.pages.pipeline.cases import Case, Kind, boxes_of, map01, select
from workloads.errors import NotFound
from workloads.predictions.store import Prediction, write_predictions
from workloads.records import GroundTruth

CARD = made_card(cutoff=0.5, score_threshold=0.5)
ANY = Kind("any", 99, lambda case: True)
LEFT, RIGHT = (0, 0, 10, 10), (10, 10, 20, 20)


def predicted(
    image_id: str, truth: GroundTruth, scores: list[float], box: tuple[int, ...] = LEFT
) -> Prediction:
    """An image of 20 x 20 whose maps are all one box."""
    heat = box_map(20, 20, (*box, 1.0))
    return prediction_of(image_id, truth, scores, dict.fromkeys(range(3), heat))


def store(folder: Path, *parts: list[Prediction]) -> Path:
    folder.mkdir()
    for index, part in enumerate(parts):
        write_predictions(folder / f"part-{index:05d}.parquet", part)
    return folder


def cases_of(*folders: Path) -> list[Case]:
    return [item.case for item in select([(f, CARD) for f in folders], [ANY]).chosen]


def test_a_case_by_hand(tmp_path: Path) -> None:
    truth = truth_of((0, 0, 10, 10, 0), (0, 0, 4, 5, 0))
    good = store(tmp_path / "good", [predicted("a", truth, [0.9, 0.1, 0.1])])
    bad = store(tmp_path / "bad", [predicted("a", truth, [0.9, 0.1, 0.1], RIGHT)])
    none = store(tmp_path / "none", [predicted("a", truth, [0.1, 0.1, 0.1])])
    (case,) = cases_of(good, bad, none)
    assert (case.label, case.present, case.difficult) == (0, True, False)
    assert case.ious == (1.0, 0.0, 0.0)
    assert case.found == (True, True, False)
    assert case.area == 100 / 400  # of the largest box


def test_false_alarms_are_those_of_the_champion(tmp_path: Path) -> None:
    quiet = store(tmp_path / "quiet", [predicted("a", GroundTruth(), [0.1, 0.1, 0.1])])
    loud = store(tmp_path / "loud", [predicted("a", GroundTruth(), [0.1, 0.9, 0.1])])
    assert cases_of(quiet, loud) == []
    (case,) = cases_of(loud, quiet)
    assert (case.label, case.present, case.area) == (1, False, 0.0)
    assert case.found == (True, False)


def test_one_difficult_object_makes_a_class_difficult(tmp_path: Path) -> None:
    truth = truth_of((0, 0, 10, 10, 0), (0, 0, 5, 5, 0, True), (0, 0, 9, 9, 2))
    folder = store(tmp_path / "p", [predicted("a", truth, [0.9, 0.1, 0.1])])
    selection = select([(folder, CARD)], [Kind("hard", 1, lambda case: case.difficult)])
    assert selection.counts == {"hard": 1}
    assert selection.chosen[0].case.label == 0
    assert (selection.cases, selection.images) == (1, 1)  # the owl alone is plain


def test_an_image_is_shown_once_and_every_case_counted(tmp_path: Path) -> None:
    truth = truth_of((0, 0, 10, 10, 0), (0, 0, 10, 10, 1))
    folder = store(tmp_path / "p", [predicted("a", truth, [0.9, 0.9, 0.1])])
    selection = select([(folder, CARD)], [ANY, Kind("again", 5, lambda case: True)])
    assert len(selection.chosen) == 1
    assert selection.counts == {"any": 2, "again": 2}


def test_parts_are_spread_over_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_IMAGES", 4)
    truth = truth_of((0, 0, 10, 10, 0))
    parts = [[predicted(f"{k}{i}", truth, [0.9, 0, 0]) for i in "ab"] for k in range(8)]
    folder = store(tmp_path / "p", *parts)
    selection = select([(folder, CARD)], [ANY])
    assert selection.images == 4
    assert sorted({item.case.part for item in selection.chosen}) == [0, 4]
    assert {item.case.image_id[0] for item in selection.chosen} == {"0", "4"}


def test_no_parts_are_no_cases(tmp_path: Path) -> None:
    selection = select([(store(tmp_path / "p"), CARD)])
    assert (selection.chosen, selection.cases, selection.images) == ((), 0, 0)
    assert set(selection.counts.values()) == {0}


def test_methods_that_do_not_belong_together_are_an_error(tmp_path: Path) -> None:
    truth = truth_of((0, 0, 10, 10, 0))
    one = store(tmp_path / "one", [predicted("a", truth, [0.9, 0, 0])])
    two = store(tmp_path / "two", [predicted(i, truth, [0.9, 0, 0]) for i in "ab"])
    with pytest.raises(ValueError, match="zip"):
        cases_of(one, two)


def test_boxes_are_those_of_the_cards_cutoffs() -> None:
    prediction = predicted("a", GroundTruth(), [0.6, 0.7, 0.1])
    found = boxes_of(prediction, CARD)
    assert found.labels.tolist() == [1, 0]
    assert found.boxes_xyxy.tolist() == [list(LEFT)] * 2
    assert len(boxes_of(prediction, made_card(cutoff=0.5, score_threshold=0.8)).labels) == 0


def test_a_map_is_as_large_as_its_image_and_spans_its_range() -> None:
    heat = np.linspace(3, 7, 16, dtype=np.float32).reshape(4, 4)
    prediction = prediction_of("a", GroundTruth(), [0.5], {0: heat})
    shown = map01(prediction, 0)
    assert shown.shape == (prediction.height, prediction.width)
    assert (shown.min(), shown.max()) == (0.0, 1.0)
    with pytest.raises(NotFound, match="no map of class 2"):
        map01(prediction, 2)
