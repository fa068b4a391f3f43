"""Predictions come back from their parts bit for bit."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_cases import prediction_of, truth_of

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

FLOATS = st.floats(width=32, allow_nan=False)


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    labels = sorted(draw(st.sets(st.integers(0, 9), max_size=3)))
    sizes = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3))
    side = draw(st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    regions = draw(st.none() | st.integers(0, 3))
    return Prediction(
        image_id=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
        split="val",
        width=30,
        height=20,
        truth=truth_of((0, 0, 9, 9, 1)),
        scores=np.array(draw(st.lists(FLOATS, max_size=4)), np.float32),
        map_labels=np.array(labels, np.int32),
        scales=tuple(rng.normal(size=(len(labels), *s)).astype(np.float32) for s in sizes),
        proposal=None if side is None else rng.random(side, np.float32),
        regions_xyxy=None if regions is None else rng.random((regions, 4), np.float32),
    )


def assert_same(one: np.ndarray | None, other: np.ndarray | None) -> None:
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


@settings(max_examples=40)
@given(st.lists(predictions(), max_size=3))
def test_a_part_gives_back_what_was_written(rows: list[Prediction]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.parquet"
        write_predictions(path, rows)
        assert rows_of(path) == len(rows)
        back = list(read_part(path))
    assert [(p.image_id, p.width, p.height) for p in back] == [
        (p.image_id, p.width, p.height) for p in rows
    ]
    for one, other in zip(rows, back, strict=True):
        assert len(one.scales) == len(other.scales)
        for a, b in zip(one.scales, other.scales, strict=True):
            assert_same(a, b)
        for name in ("scores", "map_labels", "proposal", "regions_xyxy"):
            assert_same(getattr(one, name), getattr(other, name))


def test_no_regions_are_something_else_than_none_asked_for(tmp_path: Path) -> None:
    one = prediction_of("a", GroundTruth(), [0.5], {0: np.ones((2, 3), np.float32)})
    none = replace(one, regions_xyxy=np.zeros((0, 4), np.float32))
    write_predictions(tmp_path / "p", [one, none])
    first, second = read_part(tmp_path / "p")
    assert first.regions_xyxy is None
    assert second.regions_xyxy is not None
    assert second.regions_xyxy.shape == (0, 4)


def test_parts_are_read_in_the_order_of_their_names_and_no_deeper(tmp_path: Path) -> None:
    for name, image in (("part-00001", "b"), ("part-00000", "a"), ("deep/part-00002", "c")):
        rows = [prediction_of(image, GroundTruth(), [0.5], {0: np.ones((2, 2), np.float32)})]
        write_predictions(tmp_path / f"{name}.parquet", rows)
    (tmp_path / "manifest.json").write_text("{}")
    assert [p.name for p in part_files(tmp_path)] == ["part-00000.parquet", "part-00001.parquet"]
    assert [p.image_id for p in read_predictions(tmp_path)] == ["a", "b"]


def test_the_map_of_a_class_is_found_by_its_label_at_every_scale() -> None:
    small, large = (np.arange(2 * s * s, dtype=np.float32).reshape(2, s, s) for s in (1, 2))
    maps = {3: np.zeros((2, 2), np.float32), 7: np.ones((2, 2), np.float32)}
    one = replace(prediction_of("a", GroundTruth(), [0.5], maps), scales=(large, small))
    assert [m.tolist() for m in one.maps_of(7)] == [[[4, 5], [6, 7]], [[1]]]
    assert one.map_of(3).tolist() == [[0, 1], [2, 3]]
    with pytest.raises(NotFound) as caught:
        one.map_of(4)
    assert str(caught.value) == "image a: no map of class 4 is stored (stored: [3, 7])"


@pytest.mark.parametrize(
    ("top", "expected"),
    [(0, [3, 4]), (1, [1, 3, 4]), (2, [1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])],
)
def test_true_classes_are_stored_beside_the_best(top: int, expected: list[int]) -> None:
    truth = GroundTruth(labels=(4,), difficult_labels=(3,))
    scores = np.array([0.1, 0.5, 0.5, 0.0, 0.2], np.float32)  # of equals the lower class is first
    labels = classes_to_store(truth, scores, top)
    assert labels.tolist() == expected
    assert labels.dtype == np.int32


def test_a_failed_write_leaves_the_old_part(tmp_path: Path) -> None:
    one = prediction_of("a", GroundTruth(), [0.5], {0: np.ones((2, 2), np.float32)})
    write_predictions(tmp_path / "p", [one])
    with pytest.raises(AttributeError):
        write_predictions(tmp_path / "p", [one, replace(one, scores=None)])  # type: ignore[arg-type]
    assert [p.image_id for p in read_part(tmp_path / "p")] == ["a"]
    assert len(list(tmp_path.iterdir())) == 1
