"""Peaks, and points within a tolerance of boxes."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.localization.points import peak, point_in_boxes

BOX = np.array([[10, 20, 30, 40]], np.float32)


def hit(x, y, tolerance=0.0, shape="square"):
    return bool(point_in_boxes((x, y), BOX, tolerance, shape)[0])


def test_the_peak_is_a_pixel_centre():
    map01 = np.zeros((3, 5), np.float32)
    map01[2, 3] = 1
    assert peak(map01) == (3.5, 2.5)


def test_of_equal_peaks_the_first_in_raster_order():
    map01 = np.zeros((3, 3), np.float32)
    map01[2, 0] = map01[1, 2] = 1
    assert peak(map01) == (2.5, 1.5)


def test_a_constant_map_peaks_in_its_first_pixel():
    assert peak(np.zeros((4, 4), np.float32)) == (0.5, 0.5)


@pytest.mark.parametrize("shape", ["square", "disc"])
def test_without_tolerance_boxes_are_half_open(shape):
    assert hit(10, 20, 0, shape)
    assert hit(29.9, 39.9, 0, shape)
    assert not hit(30, 25, 0, shape)
    assert not hit(15, 40, 0, shape)


def test_a_square_tolerance_reaches_into_the_corners():
    # 15 pixels left of and above the first pixel (10, 20) is pixel (-5, 5).
    assert hit(-4.5, 5.5, 15)
    assert not hit(-5.5, 5.5, 15)
    # 15 right of the last pixel (29, 39) is pixel 44.
    assert hit(44.5, 54.5, 15)
    assert not hit(45.5, 54.5, 15)


def test_a_disc_tolerance_is_a_distance_between_pixel_centres():
    assert hit(10.5 - 14, 25.5, 15, "disc")
    assert not hit(10.5 - 15, 25.5, 15, "disc")  # closer than the tolerance, not as close
    assert hit(10.5 - 9, 20.5 - 11, 15, "disc")
    assert not hit(10.5 - 9, 20.5 - 12, 15, "disc")  # sqrt(81 + 144) = 15
    assert hit(10.5 - 9, 20.5 - 12, 15, "square")


def test_the_disc_agrees_with_a_rasterised_mask():
    rng = np.random.default_rng(0)
    mask = np.zeros((60, 60), bool)
    mask[20:40, 10:30] = True
    ys, xs = np.nonzero(mask)
    for x, y in rng.integers(0, 60, (200, 2)):
        near = ((xs - x) ** 2 + (ys - y) ** 2 < 7**2).any()
        assert hit(x + 0.5, y + 0.5, 7, "disc") == near


def test_one_flag_per_box():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]], np.float32)
    assert point_in_boxes((1.5, 1.5), boxes, 0, "square").tolist() == [True, True, False]
    assert point_in_boxes((1.5, 1.5), boxes[:0], 0, "disc").shape == (0,)
