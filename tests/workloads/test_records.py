"""Records: what labels follow from boxes, and that rows of shards lose nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.records import (
    RECORD_SCHEMA,
    TRUTH_FIELDS,
    GroundTruth,
    Record,
    record_from_row,
    records_to_table,
    truth_columns,
    truth_from_row,
)

BOX = (1.0, 2.0, 30.0, 20.0)


def truth(labels: list[int], **flags: list[bool]) -> GroundTruth:
    """Ground truth of one box for each label."""
    boxes = np.array([BOX] * len(labels), np.float32).reshape(-1, 4)
    arrays = {f"box_{name}": np.array(values, np.bool_) for name, values in flags.items()}
    return GroundTruth.from_boxes(boxes, np.array(labels, np.int32), **arrays)


@st.composite
def truths(draw) -> GroundTruth:
    count = draw(st.integers(0, 5))
    number = st.floats(-1e6, 1e6, width=32)
    boxes = draw(st.lists(st.tuples(*[number] * 4), min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(0, 300), min_size=count, max_size=count))
    flags = [
        np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), np.bool_)
        for _ in range(3)
    ]
    made = GroundTruth.from_boxes(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int32), *flags
    )
    mask = draw(st.none() | st.binary(max_size=20))
    return replace(made, mask=mask, blacklisted=draw(st.booleans()))


def assert_same(one: GroundTruth, other: GroundTruth) -> None:
    for name in ("labels", "difficult_labels", "mask", "blacklisted"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("boxes_xyxy", "box_labels", "box_difficult", "box_truncated", "box_crowd"):
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize(
    ("labels", "difficult", "easy", "hard"),
    [
        ([], [], (), ()),
        ([2, 0, 2], [False] * 3, (0, 2), ()),
        ([1], [True], (), (1,)),
        ([1, 1], [True, False], (1,), ()),  # one that is not difficult is enough
        ([3, 1, 2], [True, False, True], (1,), (2, 3)),
    ],
)
def test_labels_of_boxes(
    labels: list[int], difficult: list[bool], easy: tuple[int, ...], hard: tuple[int, ...]
) -> None:
    made = truth(labels, difficult=difficult)
    assert (made.labels, made.difficult_labels) == (easy, hard)


@given(made=truths())
def test_a_class_is_either_there_or_difficult(made: GroundTruth) -> None:
    assert not set(made.labels) & set(made.difficult_labels)
    assert {*made.labels, *made.difficult_labels} == set(made.box_labels.tolist())
    assert list(made.labels) == sorted(made.labels)
    assert list(made.difficult_labels) == sorted(made.difficult_labels)


def test_flags_that_are_not_given_are_false() -> None:
    made = truth([0, 1])
    for flags in (made.box_difficult, made.box_truncated, made.box_crowd):
        assert flags.dtype == np.bool_
        assert flags.tolist() == [False, False]


def test_a_detector_need_not_find_difficult_objects_nor_crowds() -> None:
    made = truth([0, 0, 0, 0], difficult=[True, False, False, True], crowd=[False, True, False, 1])
    assert made.box_required.tolist() == [False, False, True, False]


def test_boxes_of_a_class_are_those_of_single_objects() -> None:
    made = truth([0, 0, 0, 1], difficult=[True, False, False, False], crowd=[0, 1, 0, 0])
    made.boxes_xyxy[:, 0] = [10, 11, 12, 13]
    assert made.boxes_of(0)[:, 0].tolist() == [10, 12]
    assert made.boxes_of(0, difficult=False)[:, 0].tolist() == [12]
    assert made.boxes_of(7).shape == (0, 4)


def test_no_truth_is_empty_in_the_right_shapes() -> None:
    empty = GroundTruth()
    assert empty.boxes_xyxy.shape == (0, 4)
    assert empty.boxes_xyxy.dtype == np.float32
    assert empty.box_labels.dtype == np.int32
    assert empty.box_required.tolist() == []
    assert_same(empty, truth([]))


def test_two_empty_truths_share_nothing() -> None:
    one, other = GroundTruth(), GroundTruth()
    assert one.boxes_xyxy is not other.boxes_xyxy
    assert one.box_labels is not other.box_labels


@given(made=truths())
def test_columns_come_back(made: GroundTruth) -> None:
    columns = truth_columns(made)
    assert set(columns) | {"image_id", "split", "width", "height"} == {f.name for f in TRUTH_FIELDS}
    assert_same(truth_from_row(columns), made)


@given(made=truths(), image=st.binary(max_size=50), image_id=st.text(min_size=1, max_size=9))
def test_a_record_survives_a_table(made: GroundTruth, image: bytes, image_id: str) -> None:
    record = Record(image_id, "train", image, 640, 480, made)
    table = records_to_table([record, replace(record, split="val")])
    assert table.schema.equals(RECORD_SCHEMA)
    one, two = (record_from_row(row) for row in table.to_pylist())
    assert (one.image_id, one.split, one.image) == (image_id, "train", image)
    assert (one.width, one.height, two.split) == (640, 480, "val")
    assert_same(one.truth, made)
    assert_same(two.truth, made)


def test_no_records_are_a_table_without_rows() -> None:
    table = records_to_table([])
    assert table.num_rows == 0
    assert table.schema.equals(RECORD_SCHEMA)
