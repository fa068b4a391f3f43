"""Truth derived from boxes, and records that come back from a table as they went in."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.records import (
    RECORD_SCHEMA,
    GroundTruth,
    Record,
    record_from_row,
    records_to_table,
)

BOXES = np.array([[0, 0, 4, 4], [1, 1, 5, 5], [2, 2, 6, 6], [3, 3, 7, 7]], np.float32)
LABELS = np.array([2, 0, 2, 1], np.int32)
DIFFICULT = np.array([True, True, False, False])
CROWD = np.array([False, False, True, False])


def truth() -> GroundTruth:
    return GroundTruth.from_boxes(BOXES, LABELS, DIFFICULT, box_crowd=CROWD)


def test_a_class_is_difficult_only_if_all_its_objects_are() -> None:
    found = truth()
    assert (found.labels, found.difficult_labels) == ((1, 2), (0,))


def test_boxes_of_a_class_are_single_objects() -> None:
    found = truth()
    assert found.boxes_of(2).tolist() == [[0, 0, 4, 4]]  # the other one is a crowd
    assert found.boxes_of(2, difficult=False).shape == (0, 4)
    assert found.boxes_of(1, difficult=False).tolist() == [[3, 3, 7, 7]]
    assert found.boxes_of(9).shape == (0, 4)


def test_neither_difficult_objects_nor_crowds_have_to_be_found() -> None:
    assert truth().box_required.tolist() == [False, False, False, True]


def test_flags_that_are_not_given_are_false() -> None:
    found = GroundTruth.from_boxes(BOXES, LABELS)
    for flags in (found.box_difficult, found.box_truncated, found.box_crowd):
        assert flags.tolist() == [False] * 4
    assert (found.labels, found.difficult_labels) == ((0, 1, 2), ())


def test_flags_given_as_numbers_are_flags() -> None:
    found = GroundTruth.from_boxes(BOXES, LABELS, np.array([1, 0, 0, 0]))
    assert found.box_difficult.dtype == np.bool_
    assert found.labels == (0, 1, 2)  # the other object of class 2 is not difficult


def test_no_boxes_is_an_empty_truth() -> None:
    found = GroundTruth.from_boxes(np.zeros(0), np.zeros(0, np.int64))
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.boxes_xyxy.dtype == np.float32
    assert found.box_labels.dtype == np.int32
    assert (found.labels, found.difficult_labels) == ((), ())


def assert_equal(one: GroundTruth, other: GroundTruth) -> None:
    for name in (field.name for field in fields(GroundTruth)):
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), name
            assert a.tobytes() == b.tobytes(), name
        else:
            assert a == b, name


COORDINATE = st.floats(0, 4096, width=32)
OBJECT = st.tuples(*[COORDINATE] * 4, st.integers(0, 200), *[st.booleans()] * 3)


@st.composite
def records(draw: st.DrawFn) -> Record:
    rows = draw(st.lists(OBJECT, max_size=4))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 8
    made = GroundTruth.from_boxes(
        np.array(columns[:4], np.float32).T,
        np.array(columns[4], np.int32),
        *(np.array(flags, np.bool_) for flags in columns[5:]),
    )
    made = replace(
        made, mask=draw(st.none() | st.binary(max_size=9)), blacklisted=draw(st.booleans())
    )
    name = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=9))
    return Record(name, "train", draw(st.binary(max_size=9)), 7, 2**31 - 1, made)


@settings(max_examples=50)
@given(st.lists(records(), max_size=3))
def test_records_survive_a_table(given_records: list[Record]) -> None:
    table = records_to_table(given_records)
    assert table.schema == RECORD_SCHEMA
    back = [record_from_row(row) for row in table.to_pylist()]
    assert len(back) == len(given_records)
    for one, other in zip(given_records, back, strict=True):
        assert_equal(one.truth, other.truth)
        for name in ("image_id", "split", "image", "width", "height"):
            assert getattr(one, name) == getattr(other, name)


def test_no_mask_and_an_empty_mask_are_two_things() -> None:
    both = [Record("a", "s", b"", 1, 1, replace(truth(), mask=mask)) for mask in (None, b"")]
    assert [r.truth.mask for r in map(record_from_row, records_to_table(both).to_pylist())] == [
        None,
        b"",
    ]


def test_a_side_that_no_column_holds_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid, match="too large"):
        records_to_table([Record("a", "s", b"", 2**31, 1, GroundTruth())])
