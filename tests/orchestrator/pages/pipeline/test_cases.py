"""Cases of a report: which image is shown for what, by a rule that no score decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_cases import box_map, prediction_of, truth_of

from orchestrator.pages.pipeline import cases
from orchestrator.pages.pipeline.cases import KINDS, Case, Selection, boxes_of, map01, select
from workloads.artifacts import seal
from workloads.localization.cutoffs import Cutoffs
from workloads.models.card import ModelCard, Preprocessing
from workloads.predictions.store import Prediction, write_predictions
from workloads.records import GroundTruth

SIDE = 20
CLASSES = ("cat", "dog")


def card(**cutoffs: object) -> ModelCard:
    return ModelCard(
        method="cam",
        method_options={},
        backbone="tiny",
        task="multilabel",
        classes=CLASSES,
        preprocessing=Preprocessing(size=64, mean=(0, 0, 0), std=(1, 1, 1)),
        cutoffs=Cutoffs(**{"cutoff": 0.5, "score_threshold": 0.5, **cutoffs}),
        cooccurrence=((1.0, 0.0), (0.0, 1.0)),
        provenance={},
    )


def seen(
    image_id: str, truth: GroundTruth, cat: tuple | None = None, dog: tuple | None = None
) -> Prediction:
    """What a method sees: a hot box of each class that it finds."""
    maps = {
        k: box_map(SIDE, SIDE, *([(*box, 1.0)] if box else [])) for k, box in ((0, cat), (1, dog))
    }
    return prediction_of(image_id, truth, [0.9 if cat else 0.1, 0.9 if dog else 0.1], maps)


def stored(folder: Path, *parts: Sequence[Prediction]) -> Path:
    folder.mkdir(parents=True)
    for index, part in enumerate(parts):
        write_predictions(folder / f"part-{index:05d}.parquet", list(part))
    seal(folder, kind="predictions", rows=sum(map(len, parts)))
    return folder


def selection(tmp_path: Path, *methods: Sequence[Prediction]) -> Selection:
    """Of methods with one part each; the first is the champion."""
    folders = [stored(tmp_path / str(i), part) for i, part in enumerate(methods)]
    return select([(folder, card()) for folder in folders])


BOX, OTHER = (2, 2, 12, 12), (12, 12, 20, 20)
CAT = truth_of((*BOX, 0))


def test_a_right_box_is_found_by_all(tmp_path: Path) -> None:
    found = selection(tmp_path, [seen("a", CAT, BOX)], [seen("a", CAT, BOX)])
    assert [(c.kind, c.case.image_id) for c in found.chosen] == [("found by all", "a")]
    (chosen,) = found.chosen
    assert chosen.case == Case("a", 0, 0, True, False, (1.0, 1.0), (True, True), 0.25)
    assert (found.cases, found.images) == (1, 1)


def test_one_method_that_misses_makes_them_disagree(tmp_path: Path) -> None:
    found = selection(tmp_path, [seen("a", CAT, BOX)], [seen("a", CAT)])
    assert [c.kind for c in found.chosen] == ["methods disagree"]
    assert found.chosen[0].case.ious == (1.0, 0.0)
    assert found.chosen[0].case.found == (True, False)


def test_what_only_a_rival_finds_is_no_false_alarm_of_the_champion(tmp_path: Path) -> None:
    found = selection(tmp_path, [seen("a", CAT, BOX)], [seen("a", CAT, BOX, dog=OTHER)])
    assert found.counts["false alarm"] == 0
    found = selection(tmp_path / "b", [seen("a", CAT, BOX, dog=OTHER)], [seen("a", CAT, BOX)])
    assert found.counts["false alarm"] == 1
    assert found.cases == 1, "a class that is not there is no case to find"


def test_each_class_of_an_image_is_a_case_and_an_image_is_shown_once(tmp_path: Path) -> None:
    both = truth_of((*BOX, 0), (*OTHER, 1))
    found = selection(tmp_path, [seen("a", both, BOX, OTHER)])
    assert found.counts["found by all"] == found.cases == 2
    assert len(found.chosen) == 1


def test_the_best_of_several_true_boxes_counts_and_the_largest_gives_the_area(
    tmp_path: Path,
) -> None:
    truth = truth_of((*BOX, 0), (15, 15, 17, 17, 0))
    (chosen,) = selection(tmp_path, [seen("a", truth, BOX)]).chosen
    assert chosen.case.ious == (1.0,)
    assert chosen.case.area == 100 / 400


def test_one_difficult_object_of_a_class_makes_its_case_difficult(tmp_path: Path) -> None:
    truth = truth_of((*BOX, 0), (*OTHER, 0, True))
    found = selection(tmp_path, [seen("a", truth, BOX)])
    assert [c.kind for c in found.chosen] == ["difficult object"]
    assert found.cases == 0


def test_every_kind_has_its_place_in_the_order_of_kinds(tmp_path: Path) -> None:
    small = truth_of((2, 2, 6, 6, 0))
    images = [
        seen("right", CAT, BOX),
        seen("small", small, (2, 2, 6, 6)),
        seen("wrong", CAT, OTHER),
        seen("missed", CAT),
        seen("difficult", truth_of((*BOX, 0, True)), BOX),
        seen("alarm", truth_of(), dog=OTHER),
    ]
    found = selection(tmp_path, images)
    shown = {c.kind: c.case.image_id for c in found.chosen}
    assert shown["class missed"] == "missed"
    assert shown["box wrong"] == "wrong"
    assert shown["difficult object"] == "difficult"
    assert shown["false alarm"] == "alarm"
    order = [kind.title for kind in KINDS]
    kinds = [c.kind for c in found.chosen]
    assert kinds == sorted(kinds, key=order.index)
    assert found.images == 6


def test_no_more_of_a_kind_than_it_says(tmp_path: Path) -> None:
    found = selection(tmp_path, [seen(f"{i}", CAT, BOX) for i in range(9)])
    assert found.counts["found by all"] == 9
    assert [c.kind for c in found.chosen] == ["found by all"] * 2


def test_the_order_of_images_makes_no_difference(tmp_path: Path) -> None:
    images = [seen(f"{i}", CAT, BOX) for i in range(9)]
    one, other = selection(tmp_path / "a", images), selection(tmp_path / "b", images[::-1])
    assert [c.case.image_id for c in one.chosen] == [c.case.image_id for c in other.chosen]


@given(iou=st.floats(0, 1), other=st.floats(0, 1))
def test_how_well_a_method_did_is_no_part_of_the_order(iou: float, other: float) -> None:
    one = Case("a", 0, 0, True, False, (iou,), (True,), 0.3)
    assert one.order == replace(one, ious=(other,), found=(False,)).order
    assert one.order != replace(one, label=1).order != replace(one, image_id="b").order


def test_of_many_parts_some_are_read_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 parts of 2 images and 6 images wanted: every third part, and its position is kept."""
    monkeypatch.setattr(cases, "SAMPLE_IMAGES", 6)
    parts = [[seen(f"{part}-{i}", CAT, BOX) for i in range(2)] for part in range(10)]
    found = select([(stored(tmp_path / "p", *parts), card())], kinds=(replace(KINDS[0], shown=9),))
    assert found.images == 8
    assert {c.case.part for c in found.chosen} == {0, 3, 6, 9}
    assert all(c.case.image_id.startswith(f"{c.case.part}-") for c in found.chosen)


def test_methods_of_different_images_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        selection(tmp_path, [seen("a", CAT, BOX), seen("b", CAT, BOX)], [seen("a", CAT, BOX)])


def test_nothing_stored_is_nothing_chosen(tmp_path: Path) -> None:
    found = select([(stored(tmp_path / "none"), card())])
    assert (found.chosen, found.cases, found.images) == ((), 0, 0)
    assert set(found.counts.values()) == {0}


def test_boxes_are_those_of_the_tuned_model() -> None:
    image = seen("a", CAT, BOX, OTHER)
    both = boxes_of(image, card())
    assert both.boxes_xyxy.tolist() == [list(BOX), list(OTHER)]
    strict = card(score_threshold=0.95)
    assert len(boxes_of(image, strict)) == 0
    only_large = card(min_box_px=9)
    assert boxes_of(image, only_large).labels.tolist() == [0]


def test_the_map_lies_over_the_image_from_0_to_1() -> None:
    image = replace(seen("a", CAT, BOX), width=40, height=10)
    heat = map01(image, 0)
    assert heat.shape == (10, 40)
    assert (heat.min(), heat.max()) == (0.0, 1.0)
    assert heat[4, 14] == 1.0  # inside of the box, which is twice as wide and half as high
    assert heat[4, 35] == 0.0
    assert np.isfinite(heat).all()
