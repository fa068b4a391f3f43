"""Boxes of one threshold, and their overlaps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from workloads.localization.boxes import (
    best_iou_per_box,
    boxes_at,
    iou_matrix,
)

MAP = np.array(
    [
        [0.0, 0.0, 0.0, 0.9],
        [0.6, 0.0, 0.0, 0.0],
        [0.6, 0.7, 0.0, 0.4],
        [0.0, 0.0, 0.0, 0.4],
    ],
    np.float32,
)


def test_largest_component():
    found = boxes_at(MAP, 0.3, "largest")
    assert found.boxes_xyxy.tolist() == [[0, 1, 2, 3]]
    assert found.boxes_xyxy.dtype == np.float32
    assert found.heat.tolist() == [np.float32(0.7)]


def test_all_components_come_in_raster_order_with_their_peaks():
    found = boxes_at(MAP, 0.3, "all")
    assert found.boxes_xyxy.tolist() == [[3, 0, 4, 1], [0, 1, 2, 3], [3, 2, 4, 4]]
    np.testing.assert_array_equal(found.heat, np.array([0.9, 0.7, 0.4], np.float32))


def test_foreground_is_strictly_above_the_cutoff():
    assert len(boxes_at(MAP, 0.4, "all").heat) == 2
    assert len(boxes_at(MAP, 0.9, "all").heat) == 0


def test_diagonal_neighbours_are_one_component():
    assert boxes_at(np.eye(3, dtype=np.float32), 0.5, "all").boxes_xyxy.tolist() == [[0, 0, 3, 3]]


@pytest.mark.parametrize("rule", ["largest", "all"])
def test_no_foreground_no_boxes(rule):
    found = boxes_at(np.zeros((3, 5), np.float32), 0.0, rule)
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.heat.shape == (0,)


def test_largest_of_equals_is_the_first_in_raster_order():
    # OpenCV numbers by 2x2 blocks, and finds the left one first.
    map01 = np.array([[0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0]], np.float32)
    assert boxes_at(map01, 0.5, "largest").boxes_xyxy.tolist() == [[3, 0, 4, 2]]


def test_the_largest_components_in_order():
    # Of 3, 2 and 1 pixels.
    ordered = [[0, 1, 2, 3], [3, 2, 4, 4], [3, 0, 4, 1]]
    for count in range(5):
        assert boxes_at(MAP, 0.3).largest(count).boxes_xyxy.tolist() == ordered[:count]
    assert boxes_at(MAP, 0.3).largest(2).areas.tolist() == [3, 2]
    assert boxes_at(MAP, 0.9).largest(2).boxes_xyxy.shape == (0, 4)
    # Of equals the first in raster order; OpenCV finds the left one first.
    equal = np.array([[0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0]], np.float32)
    found = boxes_at(equal, 0.5).largest(2).boxes_xyxy
    assert found.tolist() == [[3, 0, 4, 2], [0, 1, 1, 3]]


@pytest.mark.parametrize("seed", range(40))
def test_components_are_those_that_opencv_labels(seed):
    rng = np.random.default_rng(seed)
    heat = rng.random(tuple(rng.integers(1, 30, 2))).astype(np.float32)
    cutoff = float(rng.choice([0.3, 0.5, 0.6, 0.8]))
    found = boxes_at(heat, cutoff)
    mask = (heat > np.float32(cutoff)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    in_raster_order = list(dict.fromkeys(labels[labels > 0].tolist()))
    assert len(found.heat) == count - 1
    for k, (box, hottest, area) in enumerate(zip(*found, strict=True)):
        x, y, w, h, pixels = stats[in_raster_order[k]]
        assert box.tolist() == [x, y, x + w, y + h]
        assert (hottest, area) == (heat[labels == in_raster_order[k]].max(), pixels)


def test_iou_by_hand():
    a = np.array([[0, 0, 2, 2], [0, 0, 1, 1]])
    b = np.array([[1, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6], [2, 0, 4, 2]])
    expected = [[1 / 7, 1.0, 0.0, 0.0], [0.0, 0.25, 0.0, 0.0]]
    np.testing.assert_array_equal(iou_matrix(a, b), expected)


def test_empty_boxes_have_no_overlap():
    nothing = np.zeros((1, 4))
    assert iou_matrix(nothing, nothing).tolist() == [[0.0]]
    assert iou_matrix(np.zeros((0, 4)), np.ones((2, 4))).shape == (0, 2)


def test_best_iou_per_box():
    boxes = np.array([[0, 0, 2, 2], [9, 9, 10, 10]])
    assert best_iou_per_box(boxes, np.array([[0, 0, 2, 1], [0, 0, 2, 2]])).tolist() == [1.0, 0.0]
    assert best_iou_per_box(boxes, np.zeros((0, 4))).tolist() == [0.0, 0.0]
