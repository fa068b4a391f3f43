"""Non-maximum suppression against a plain loop, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.localization.boxes import HeatBoxes, iou_matrix
from workloads.localization.nms import suppress

SIDE = st.integers(0, 6)
BOX = st.tuples(SIDE, SIDE, st.integers(1, 6), st.integers(1, 6))
# Few values of heat and area, so that ties occur.
FOUND = st.lists(st.tuples(BOX, st.integers(1, 3), st.integers(1, 3)), max_size=12)


def boxes_of(rows) -> HeatBoxes:
    corners = [(x, y, x + w, y + h) for (x, y, w, h), _, _ in rows]
    return HeatBoxes(
        np.array(corners, np.float32).reshape(-1, 4),
        np.array([heat / 4 for _, heat, _ in rows], np.float32),
        np.array([area for _, _, area in rows], np.int64),
    )


def plain_loop(found: HeatBoxes, iou: float) -> list[bool]:
    left = sorted(range(len(found.heat)), key=lambda i: (-found.heat[i], -found.areas[i], i))
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        overlaps = iou_matrix(found.boxes_xyxy[[best]], found.boxes_xyxy)[0]
        left = [i for i in left if overlaps[i] < iou]
    return [i in kept for i in range(len(found.heat))]


@settings(max_examples=200, deadline=None)
@given(rows=FOUND, iou=st.sampled_from([0.1, 0.25, 0.5, 0.7, 1.0]))
def test_against_a_plain_loop(rows, iou):
    found = boxes_of(rows)
    assert suppress(found, iou).tolist() == plain_loop(found, iou)


def test_an_iou_equal_to_the_limit_suppresses():
    found = boxes_of([((0, 0, 4, 4), 2, 1), ((0, 0, 4, 2), 1, 1)])
    assert suppress(found, 0.5).tolist() == [True, False]
    assert suppress(found, 0.51).tolist() == [True, True]


def test_a_suppressed_box_suppresses_nothing():
    # Each overlaps its neighbour by one half, and the one after that not at all.
    chain = boxes_of([((0, 0, 3, 6), 3, 1), ((1, 0, 3, 6), 2, 1), ((2, 0, 3, 6), 1, 1)])
    assert suppress(chain, 0.5).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([((0, 0, 4, 4), 1, 1), ((0, 0, 4, 4), 2, 1)], [False, True]),  # the hotter one
        ([((0, 0, 4, 4), 1, 1), ((0, 0, 4, 4), 1, 2)], [False, True]),  # then the larger one
        ([((0, 0, 4, 4), 1, 1), ((0, 0, 4, 4), 1, 1)], [True, False]),  # then the first
    ],
)
def test_which_of_two_stays(rows, kept):
    assert suppress(boxes_of(rows), 0.7).tolist() == kept
