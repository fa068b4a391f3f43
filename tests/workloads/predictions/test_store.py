"""Stored predictions: what is written comes back bit for bit, whatever its shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_shards import made_truth

from workloads.errors import NotFound
from workloads.predictions.store import (
    Prediction,
    classes_to_store,
    part_files,
    read_part,
    read_predictions,
    rows_of,
    write_predictions,
)
from workloads.records import GroundTruth

NO_TRUTH = made_truth()


def prediction(
    image_id: str = "a",
    labels: tuple[int, ...] = (0, 2),
    sizes: tuple[tuple[int, int], ...] = ((3, 4),),
    seed: int = 0,
    truth: GroundTruth = NO_TRUTH,
    **others: np.ndarray,
) -> Prediction:
    """Random scores of 4 classes and random maps of the labels at each of the (h, w) scales."""
    rng = np.random.default_rng(seed)
    scales = tuple(rng.normal(size=(len(labels), h, w)).astype(np.float32) for h, w in sizes)
    scores = rng.random(4, np.float32)
    return Prediction(
        image_id, "val", 40, 30, truth, scores, np.array(labels, np.int32), scales, **others
    )


def stored(path: Path, *predictions: Prediction) -> list[Prediction]:
    write_predictions(path, list(predictions))
    return list(read_part(path))


@st.composite
def shapes(draw) -> Prediction:
    labels = draw(st.lists(st.integers(0, 3), unique=True, max_size=4))
    side = st.integers(1, 5)
    sizes = draw(st.lists(st.tuples(side, side), min_size=1, max_size=3))
    others = {}
    if draw(st.booleans()):
        others["proposal"] = np.ones((draw(side), draw(side)), np.float32) / 3
    if draw(st.booleans()):
        rows = draw(st.integers(0, 3))
        others["regions_xyxy"] = np.arange(4 * rows, dtype=np.float32).reshape(rows, 4)
    return prediction("b", tuple(labels), tuple(sizes), draw(st.integers(0, 9)), **others)


@given(found=st.lists(shapes(), min_size=1, max_size=3))
def test_any_shapes_come_back_bit_for_bit(
    found: list[Prediction], tmp_path_factory: pytest.TempPathFactory
) -> None:
    back = stored(tmp_path_factory.mktemp("parts") / "part.parquet", *found)
    assert len(back) == len(found)
    for got, given_ in zip(back, found, strict=True):
        assert got.scores.tobytes() == given_.scores.tobytes()
        assert got.map_labels.tolist() == given_.map_labels.tolist()
        assert [m.shape for m in got.scales] == [m.shape for m in given_.scales]
        assert [m.tobytes() for m in got.scales] == [m.tobytes() for m in given_.scales]
        for name in ("proposal", "regions_xyxy"):
            one, other = getattr(got, name), getattr(given_, name)
            assert (one is None) == (other is None)
            if one is not None:
                assert one.shape == other.shape
                assert np.array_equal(one, other)


def test_the_values_of_broken_networks_are_kept(tmp_path: Path) -> None:
    """NaN and infinity are for the metrics to refuse, not for the store to hide."""
    broken = prediction()
    broken.scores[:] = [np.nan, np.inf, -np.inf, -0.0]
    (back,) = stored(tmp_path / "part.parquet", broken)
    assert back.scores.tobytes() == broken.scores.tobytes()


def test_the_truth_stands_beside_the_scores(tmp_path: Path) -> None:
    truth = made_truth((2, (1.5, 2, 3, 4)), (0, (0, 0, 40, 30)), box_difficult=[False, True])
    (back,) = stored(tmp_path / "part.parquet", prediction(truth=truth))
    assert back.truth.box_labels.tolist() == [2, 0]
    assert back.truth.boxes_xyxy.tolist() == [[1.5, 2, 3, 4], [0, 0, 40, 30]]
    assert back.truth.labels == truth.labels
    assert back.truth.difficult_labels == truth.difficult_labels
    assert (back.width, back.height, back.split) == (40, 30, "val")


def test_maps_of_a_class_at_every_scale() -> None:
    found = prediction(labels=(1, 3), sizes=((2, 2), (5, 3)))
    assert [m.shape for m in found.maps_of(3)] == [(2, 2), (5, 3)]
    assert np.array_equal(found.map_of(3), found.scales[0][1])
    assert found.maps is found.scales[0]


def test_a_map_that_was_not_stored_is_said() -> None:
    with pytest.raises(NotFound) as caught:
        prediction("cat.png", labels=(1, 3)).map_of(2)
    assert str(caught.value) == "image cat.png: no map of class 2 is stored (stored: [1, 3])"


@pytest.mark.parametrize(
    ("boxes", "difficult", "top", "kept"),
    [
        ([], [], 0, []),
        ([], [], 2, [1, 3]),  # the best scored, in order of class
        ([], [], 9, [0, 1, 2, 3]),
        ([0], [False], 1, [0, 1]),  # a true class, however badly scored
        ([0], [True], 1, [0, 1]),  # a class of difficult objects only
        ([1], [False], 1, [1]),  # true and best scored: once
    ],
)
def test_classes_to_store(boxes: list, difficult: list, top: int, kept: list) -> None:
    truth = made_truth(*((label, (0, 0, 9, 9)) for label in boxes), box_difficult=difficult)
    scores = np.array([0.1, 0.9, 0.2, 0.8], np.float32)
    assert classes_to_store(truth, scores, top).tolist() == kept


def test_of_equal_scores_the_lower_classes_are_stored() -> None:
    assert classes_to_store(NO_TRUTH, np.full(4, 0.5, np.float32), 2).tolist() == [0, 1]


def test_parts_are_read_in_order_and_nothing_else_is(tmp_path: Path) -> None:
    for part, names in (("part-1", "cd"), ("part-0", "ab")):
        write_predictions(tmp_path / f"{part}.parquet", [prediction(name) for name in names])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "deeper").mkdir()
    write_predictions(tmp_path / "deeper" / "part-2.parquet", [prediction("e")])
    assert [p.name for p in part_files(tmp_path)] == ["part-0.parquet", "part-1.parquet"]
    assert [p.image_id for p in read_predictions(tmp_path)] == list("abcd")
    assert rows_of(tmp_path / "part-1.parquet") == 2


def test_an_empty_part_has_no_rows(tmp_path: Path) -> None:
    assert stored(tmp_path / "part.parquet") == []
    assert rows_of(tmp_path / "part.parquet") == 0


def test_rows_of_more_than_one_batch_keep_their_order(tmp_path: Path) -> None:
    names = [f"{i:03d}" for i in range(130)]
    back = stored(tmp_path / "part.parquet", *(prediction(name, seed=int(name)) for name in names))
    assert [p.image_id for p in back] == names
    assert np.array_equal(back[129].maps, prediction(seed=129).maps)
