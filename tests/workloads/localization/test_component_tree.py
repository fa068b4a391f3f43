"""The one-pass tree against labelling the components at every threshold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from workloads.localization.boxes import best_iou_per_box, boxes_at, iou_matrix
from workloads.localization.component_tree import (
    all_components,
    best_iou,
    even_thresholds,
    largest_boxes,
    largest_iou,
    quantize,
    sweep,
)

TOUCHING = np.ones((3, 3), int)
GT = np.array([[1.0, 0.5, 4.0, 3.0], [0.0, 2.0, 2.5, 6.0]])


def brute_force(map01, thresholds, gt):
    """Largest box and best IoU by labelling at every threshold."""
    largest = np.zeros((len(thresholds), 4), np.int32)
    best = np.zeros(len(thresholds))
    for k, threshold in enumerate(thresholds):
        labels, count = ndimage.label(map01 > threshold, TOUCHING)  # in raster order
        if count == 0:
            continue
        boxes = np.array(
            [[x.start, y.start, x.stop, y.stop] for y, x in ndimage.find_objects(labels)]
        )
        areas = np.bincount(labels.ravel())[1:]
        largest[k] = boxes[np.argmax(areas)]  # the first of equals
        best[k] = iou_matrix(boxes, gt).max(initial=0.0)
    return largest, best


def check(map01, thresholds, gt=GT):
    largest, best = brute_force(map01, thresholds, gt)
    found = sweep(map01, thresholds, gt)
    np.testing.assert_array_equal(found.largest_xyxy, largest)
    np.testing.assert_array_equal(found.best_iou, best)
    np.testing.assert_array_equal(largest_iou(map01, thresholds, gt), best_iou_per_box(largest, gt))
    every = all_components(map01.astype(np.float32), thresholds)
    for k, threshold in enumerate(thresholds.astype(np.float32)):
        here = every.levels == k
        expected = boxes_at(map01.astype(np.float32), threshold)
        np.testing.assert_array_equal(every.boxes_xyxy[here], expected.boxes_xyxy)
        np.testing.assert_array_equal(every.heat[here], expected.heat)
        np.testing.assert_array_equal(every.areas[here], expected.areas)
    assert (np.diff(every.levels) >= 0).all()


@st.composite
def maps(draw):
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    levels = draw(st.sampled_from([1, 2, 3, 7, 20]))  # few levels make plateaus and ties
    values = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, levels)))
    return (values / levels).astype(draw(st.sampled_from([np.float32, np.float64])))


@settings(max_examples=300, deadline=None)
@given(maps(), st.sampled_from([1, 2, 3, 20, 33]))
def test_small_maps(map01, count):
    check(map01, even_thresholds(count))


@settings(max_examples=50, deadline=None)
@given(maps(), st.lists(st.floats(-0.5, 1.5, width=32), min_size=1, max_size=12, unique=True))
def test_uneven_thresholds(map01, thresholds):
    check(map01, np.sort(np.array(thresholds, np.float32)))


@pytest.mark.parametrize("shape", [(40, 40), (17, 60), (61, 16), (1, 200), (200, 1), (1, 1)])
def test_a_thousand_thresholds(shape):
    rng = np.random.default_rng(0)
    noise = rng.random(shape, np.float32)
    check(noise, even_thresholds())
    coarse = rng.random((max(1, shape[0] // 6), max(1, shape[1] // 6)), np.float32)
    check(cv2.resize(coarse, shape[::-1]).reshape(shape), even_thresholds(), GT * 3)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, -1.0, 2.0, np.nan, np.inf, -np.inf])
def test_constant_maps(value):
    check(np.full((5, 7), value, np.float32), even_thresholds(10))


def test_spirals_and_holes():
    picture = np.array(
        [
            [9, 9, 9, 9, 9, 9, 9],
            [9, 0, 0, 0, 0, 0, 9],
            [9, 0, 5, 5, 5, 0, 9],
            [9, 0, 5, 7, 5, 0, 9],
            [9, 0, 5, 5, 5, 0, 9],
            [9, 0, 0, 0, 0, 0, 3],
            [9, 9, 9, 9, 9, 3, 9],
        ]
    )
    check((picture / 9).astype(np.float32), even_thresholds(27))


def test_largest_of_equals_is_the_first_in_raster_order():
    # Both components have two pixels; the right one starts higher.
    map01 = np.array([[0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0]], np.float32)
    np.testing.assert_array_equal(largest_boxes(map01, even_thresholds(1)), [[3, 0, 4, 2]])


def test_no_foreground_gives_empty_boxes():
    found = sweep(np.zeros((4, 4), np.float32), even_thresholds(5), GT)
    assert not found.largest_xyxy.any()
    assert not found.best_iou.any()


def test_without_ground_truth_the_iou_is_zero():
    assert not sweep(np.eye(4, dtype=np.float32), even_thresholds(5)).best_iou.any()
    assert not best_iou(np.eye(4, dtype=np.float32), even_thresholds(5), np.zeros((0, 4))).any()


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(np.float32, (4, 4), elements=st.floats(-1, 2, width=32)),
    st.sampled_from([1, 7, 10, 1000]),
)
def test_levels_agree_with_comparison(map01, count):
    thresholds = even_thresholds(count)
    map01[0] = thresholds[np.linspace(0, count - 1, 4).astype(int)]  # exactly on a threshold
    map01[1] = np.nextafter(map01[0], np.float32(2))
    expected = (map01[..., None] > thresholds).sum(axis=-1)
    np.testing.assert_array_equal(quantize(map01, thresholds), expected)
    by_number = sum((map01 > k / count).astype(int) for k in range(count))
    np.testing.assert_array_equal(expected, by_number)


@pytest.mark.parametrize("k", [1, 137, 300, 999])
@pytest.mark.parametrize("seed", range(4))
def test_boxes_at_one_cutoff_agree(k, seed):
    rng = np.random.default_rng(seed)
    map01 = np.round(rng.random((30, 20)) ** 2, 2 + seed % 2).astype(np.float32)
    found = sweep(map01, even_thresholds(), GT)
    largest, _, areas = boxes_at(map01, k / 1000, "largest")
    assert found.largest_area[k] == areas.sum()
    np.testing.assert_array_equal(largest.reshape(-1), found.largest_xyxy[k][: largest.size])
    every = boxes_at(map01, k / 1000, "all").boxes_xyxy
    assert best_iou_per_box(every, GT).max(initial=0.0) == found.best_iou[k]


@pytest.mark.parametrize(
    ("map01", "thresholds"),
    [
        (np.zeros(4, np.float32), even_thresholds(3)),
        (np.zeros((0, 4), np.float32), even_thresholds(3)),
        (np.zeros((2, 2), np.float32), np.array([0.5, 0.5])),
        (np.zeros((2, 2), np.float32), np.array([0.5, 0.1])),
        (np.zeros((2, 2), np.float32), np.zeros(0)),
    ],
)
def test_wrong_input_is_refused(map01, thresholds):
    with pytest.raises(ValueError, match=r"map must be|thresholds must be"):
        quantize(map01, thresholds)


def test_read_only_and_strided_maps():
    map01 = np.random.default_rng(0).random((12, 20), np.float32)[::2, ::2]
    map01.flags.writeable = False
    check(map01, even_thresholds(50))
