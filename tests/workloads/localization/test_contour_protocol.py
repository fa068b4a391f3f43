"""One pass against the loop of the evaluation toolkit, to the last bit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workloads.localization.contour_protocol import (
    contour_sweep,
    protocol_boxes,
    protocol_map,
    protocol_taus,
    quantized,
)

GT = np.array([[1, 0, 4, 3], [0, 2, 2, 6]])


def toolkit_boxes(levels, tau):
    """The box of the largest contour, and those of all, at one threshold."""
    height, width = levels.shape
    _, mask = cv2.threshold(levels, int(tau * np.max(levels)), 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) == 0:
        return [0, 0, 0, 0], [[0, 0, 0, 0]]

    def box(contour):
        x, y, w, h = cv2.boundingRect(contour)
        return [x, y, min(x + w, width - 1), min(y + h, height - 1)]

    return box(max(contours, key=cv2.contourArea)), [box(contour) for contour in contours]


def toolkit_iou(a, b):
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    inter *= max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    union = sum(areas) - inter
    return inter / union if union > 0 else 0.0


def check(levels, taus, gt=GT):
    found = contour_sweep(levels, gt, taus)
    for t, tau in enumerate(taus):
        largest, every = toolkit_boxes(levels, tau)
        where = f"tau {tau} of\n{levels!r}"
        assert found.largest_xyxy[t].tolist() == largest, where
        assert found.largest_iou[t] == max(toolkit_iou(largest, box) for box in gt.tolist()), where
        best = max(toolkit_iou(one, box) for one in every for box in gt.tolist())
        assert found.best_iou[t] == best, where


def every_cut(levels):
    """Thresholds just below and at each value of the map."""
    top = max(int(levels.max()), 1)
    values = np.unique(levels).astype(float)
    return np.unique(np.clip(np.concatenate([values - 0.5, values]) / top, 0, 1))


@st.composite
def few_greys(draw):
    """Few grey levels make holes, islands, pinches, plateaus and equal areas."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    top = draw(st.sampled_from([1, 2, 3, 7, 255]))
    return draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, top)))


@settings(max_examples=300, deadline=None)
@given(few_greys())
def test_small_maps(levels):
    check(levels, every_cut(levels))


@settings(max_examples=60, deadline=None)
@given(
    few_greys(),
    st.lists(st.lists(st.integers(-2, 12), min_size=4, max_size=4), min_size=1, max_size=3),
    st.lists(st.floats(0, 1), max_size=9),
)
def test_any_boxes_and_thresholds(levels, boxes, taus):
    check(levels, np.array(taus), np.array(boxes))  # boxes may be degenerate, taus unsorted


@pytest.mark.parametrize("seed", range(2))
def test_thousands_of_noisy_maps(seed):
    rng = np.random.default_rng(seed)
    for _ in range(1000):
        shape = rng.integers(1, rng.choice([4, 8, 14]) + 1, 2)
        levels = rng.integers(0, rng.choice([1, 2, 3, 5]) + 1, shape).astype(np.uint8)
        check(levels, every_cut(levels), random_boxes(rng, levels))


@pytest.mark.parametrize("seed", range(2))
def test_hundreds_of_drawings(seed):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        levels = drawing(rng)
        check(levels, every_cut(levels), random_boxes(rng, levels))


@pytest.mark.parametrize("foreground", [0.05, 0.5, 0.9])
def test_more_contours_than_opencv_has_labels(foreground):
    rng = np.random.default_rng(0)
    levels = (rng.random((100, 90)) < foreground).astype(np.uint8)
    levels[20:60, 30:80] *= 2
    check(levels, every_cut(levels), GT * 10)


@pytest.mark.parametrize("seed", range(3))
def test_smooth_maps_at_all_thresholds(seed):
    rng = np.random.default_rng(seed)
    raw = rng.random((14, 14), np.float32) ** (1 + seed % 3)
    levels = quantized(protocol_map(raw))
    assert levels.shape == (224, 224)
    assert levels.max() == 255
    check(levels, protocol_taus(), np.array([[20, 30, 150, 160], [100, 90, 140, 200]]))


def random_boxes(rng, levels):
    """A random box, or that of a random contour, which a sweep must not miss."""
    if rng.random() < 0.5:
        return np.sort(rng.integers(0, max(levels.shape) + 1, (1, 2, 2)), axis=1).reshape(1, 4)
    every = toolkit_boxes(levels, rng.random())[1]
    return np.array([every[rng.integers(len(every))]])


def drawing(rng):
    """Rings, lines and discs over each other: islands in holes in islands."""
    height, width = (int(side) for side in rng.integers(6, 40, 2))
    levels = np.full((height, width), rng.integers(0, 20), np.uint8)
    for _ in range(rng.integers(2, 14)):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(1, 14)), int(rng.integers(1, 14)))
        grey, thickness = int(rng.integers(20)), int(rng.choice([-1, 1, 1, 2]))
        cv2.ellipse(levels, centre, axes, int(rng.integers(180)), 0, 360, grey, thickness)
    return levels


def picture(*rows):
    return np.array([[int(c) for c in row.replace(".", "0")] for row in rows], np.uint8)


def at(levels, *gt, tau=0.0):
    """Largest box and both IoU at one threshold."""
    check(levels, np.array([tau]), np.array(gt or [[0, 0, 0, 0]]))
    found = contour_sweep(levels, np.array(gt or [[0, 0, 0, 0]]), np.array([tau]))
    return found.largest_xyxy[0].tolist(), found.largest_iou[0], found.best_iou[0]


def test_the_contour_of_a_hole_is_a_box():
    levels = np.zeros((9, 9), np.uint8)
    levels[1:8, 1:8] = 9
    levels[3:6, 3:6] = 0
    assert at(levels, [2, 2, 7, 7]) == ([1, 1, 8, 8], 36 / 64, 1.0)


def test_a_contour_comes_before_that_of_its_hole():
    # Both polygons are the same diamond; the tail adds no area, but belongs to the outer one.
    levels = picture(".....", "..9..", ".9.9.", "..9..", "..9..", "..9..", ".....")
    assert at(levels, [1, 1, 4, 4]) == ([1, 1, 4, 6], 16 / 24, 1.0)


def test_an_island_in_a_hole_is_a_box_but_never_the_largest():
    levels = picture("9999999", "9.....9", "9.999.9", "9.999.9", "9.....9", "9999999")
    assert at(levels, [2, 2, 5, 4]) == ([0, 0, 6, 5], 12 / 42, 1.0)


def test_an_island_that_grows_into_the_ring_has_its_box_until_then():
    # The island has its box at 6 and above; at 5 a bridge joins it to the ring.
    levels = picture("9999999", "9.....9", "9.787.9", "9.787.9", "9..5..9", "9999999")
    island = [2, 2, 5, 4]
    assert at(levels, island, tau=6 / 9)[2] == 1.0
    assert at(levels, island, tau=4 / 9)[2] < 1.0


def test_an_island_that_sinks_before_its_hole_joins_another():
    levels = picture("999999999", "911191119", "911131219", "911191119", "999999999")
    assert at(levels, [6, 2, 7, 3], tau=1 / 9)[2] == 1.0
    check(levels, every_cut(levels), np.array([[6, 2, 7, 3]]))
    check(levels[:, ::-1], every_cut(levels), np.array([[2, 2, 3, 3]]))


def test_an_island_that_grows_into_the_ring_is_never_a_box_again():
    # Only pixels around the islands are looked at, so its box there is not its true one.
    levels = picture("..222.", ".2...2", "2..2.2", "2..1.2", ".2..2.", "..12..")
    check(levels, every_cut(levels), np.array([[4, 1, 5, 11]]))


def test_of_equal_areas_the_last_in_raster_order_is_the_largest():
    squares = picture("....77", ".77.77", ".77...", "......")
    assert at(squares)[0] == [1, 1, 3, 3]
    pixels = picture("7...7", ".....", "..7.7", ".....")
    assert at(pixels)[0] == [4, 2, 4, 3]


def test_an_equal_area_can_lose_when_it_grows_a_tail():
    # Above 5 the lower square comes last; then a line of no area makes it begin first.
    levels = picture("......5", ".77...5", ".77...5", "....77.", "....77.", ".......")
    assert at(levels, tau=0.9)[0] == [4, 3, 6, 5]
    assert at(levels)[0] == [1, 1, 3, 3]


def test_the_area_is_that_of_the_polygon_and_not_the_number_of_pixels():
    levels = picture("777777777", ".........", "...77....", "...77....", ".........")
    assert at(levels)[0] == [3, 2, 5, 4]


def test_a_filled_hole_counts_to_the_area():
    levels = picture("77777....", "7...7.777", "7...7.777", "77777.777")
    assert at(levels)[0] == [0, 0, 5, 3]


def test_without_foreground_there_is_the_zero_box():
    levels = np.zeros((5, 6), np.uint8)
    found = contour_sweep(levels, np.array([[0, 0, 1, 0]]), protocol_taus())
    assert not found.largest_xyxy.any()
    assert set(found.largest_iou) == set(found.best_iou) == {0.5}
    check(levels, np.array([0.0, 0.5, 1.0]))
    check(np.eye(4, dtype=np.uint8), np.array([1.0]))


@pytest.mark.parametrize("value", [1, 2, 254, 255])
def test_constant_maps_are_one_box(value):
    levels = np.full((5, 7), value, np.uint8)
    found = contour_sweep(levels, np.array([[0, 0, 6, 4]]), protocol_taus())
    assert (found.largest_xyxy == [0, 0, 6, 4]).all()
    assert (found.best_iou == 1.0).all()


def test_without_ground_truth_the_iou_is_zero():
    found = contour_sweep(np.eye(4, dtype=np.uint8), np.zeros((0, 4), int), protocol_taus())
    assert not found.largest_iou.any()
    assert not found.best_iou.any()
    assert found.largest_xyxy.any()


def test_read_only_and_strided_maps():
    levels = np.random.default_rng(0).integers(0, 5, (12, 20)).astype(np.uint8)[::2, ::2]
    levels.flags.writeable = False
    check(levels, every_cut(levels))


@pytest.mark.parametrize(
    ("levels", "taus"),
    [
        (np.zeros(4, np.uint8), [0.0]),
        (np.zeros((0, 4), np.uint8), [0.0]),
        (np.zeros((4, 4), np.float32), [0.0]),
        (np.zeros((4, 4), np.uint8), [-0.1]),
        (np.zeros((4, 4), np.uint8), [0.5, 1.1]),
        (np.zeros((4, 4), np.uint8), [np.nan]),
    ],
)
def test_wrong_input_is_refused(levels, taus):
    with pytest.raises(ValueError, match=r"levels must be|taus must be"):
        contour_sweep(levels, GT, np.array(taus))


def test_the_map_is_resized_first_and_normalised_after():
    raw = np.random.default_rng(0).random((14, 10), np.float32)
    expected = cv2.resize(raw.astype(np.float64), (224, 224), interpolation=cv2.INTER_CUBIC)
    expected -= expected.min()
    expected /= expected.max()
    map01 = protocol_map(raw)
    assert map01.dtype == np.float64
    np.testing.assert_array_equal(map01, expected)
    assert (map01.min(), map01.max()) == (0.0, 1.0)
    assert protocol_map(raw, 64).shape == (64, 64)


@pytest.mark.parametrize("value", [0.0, 3.5, 0.3, -1 / 7, 1e-9, 123.456, np.nan])
def test_a_constant_map_or_one_with_nan_is_all_zeros(value):
    raw = np.full((7, 7), value, np.float32)
    assert not protocol_map(raw).any()
    raw[0] = 1.0
    assert protocol_map(raw).any() == (not np.isnan(value))


def test_the_map_is_truncated():
    map01 = np.array([[0.0, 0.999, 1.0, 128 / 255]], np.float32)
    assert quantized(map01).tolist() == [[0, 254, 255, 128]]


def test_thresholds_are_the_toolkits():
    assert protocol_taus().tolist() == list(np.arange(0, 1, 0.001))


@given(
    st.lists(st.integers(0, 700), min_size=4, max_size=4),
    st.integers(1, 700),
    st.integers(1, 700),
    st.sampled_from([32, 224, 448]),
)
def test_boxes_are_scaled_and_truncated_as_python_does(box, width, height, frame):
    sizes = (width, height, width, height)
    expected = [int(float(c) * float(frame) / float(n)) for c, n in zip(box, sizes, strict=True)]
    assert protocol_boxes(np.array([box]), width, height, frame).tolist() == [expected]
    assert protocol_boxes(np.zeros((0, 4)), width, height).shape == (0, 4)
