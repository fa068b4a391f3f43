"""Regions of an object proposal algorithm: their heat, the best one, and how they are resized."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from prediction_cases import box_map

from workloads.localization.regions import (
    best_region,
    best_regions,
    coverage,
    heat_in_boxes,
    resized_regions,
)

HEAT = st.integers(0, 4).map(lambda k: k / 4)


@st.composite
def maps_and_boxes(draw):
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    map01 = draw(arrays.arrays(np.float32, (height, width), elements=HEAT))
    count = draw(st.integers(0, 6))
    rows = []
    for _ in range(count):
        x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        rows.append((x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))))
    return map01, np.array(rows, np.float32).reshape(-1, 4)


def parts(map01, boxes):
    return [map01[y0:y1, x0:x1] for x0, y0, x1, y1 in boxes.astype(int)]


@settings(max_examples=100, deadline=None)
@given(case=maps_and_boxes(), cutoff=st.sampled_from([0.0, 0.25, 0.3, 0.6]))
def test_sums_coverage_and_the_best_region_against_loops(case, cutoff):
    map01, boxes = case
    inside = parts(map01, boxes)
    sums, pixels = heat_in_boxes(map01, boxes)
    np.testing.assert_allclose(sums, [p.sum(dtype=np.float64) for p in inside], atol=1e-9)
    assert pixels.tolist() == [p.size for p in inside]

    covered = np.zeros(map01.shape)
    for view in parts(covered, boxes):
        view += 1
    np.testing.assert_array_equal(coverage(boxes, *map01.shape[::-1]), covered)

    gains = [float(p.sum(dtype=np.float64) - np.float32(cutoff) * p.size) for p in inside]
    found = best_region(map01, boxes, cutoff)
    if max(gains, default=0) <= 1e-5:
        assert len(found.heat) == 0
        return
    equals = [i for i, gain in enumerate(gains) if gain >= max(gains) - 1e-9]
    first = min(equals, key=lambda i: inside[i].size)
    assert found.boxes_xyxy.tolist() == [boxes[first].tolist()]
    assert found.heat.tolist() == [inside[first].max()]
    assert found.areas.tolist() == [(inside[first] > np.float32(cutoff)).sum()]


def test_the_cutoff_decides_how_much_background_a_region_may_hold():
    map01 = box_map(20, 20, (4, 4, 12, 12, 1.0), (12, 4, 16, 12, 0.5))
    tight, wide, all_of_it = [4, 4, 12, 12], [4, 4, 16, 12], [0, 0, 20, 20]
    regions = np.array([all_of_it, wide, tight], np.float32)
    assert best_region(map01, regions, 0.6).boxes_xyxy.tolist() == [tight]
    assert best_region(map01, regions, 0.3).boxes_xyxy.tolist() == [wide]
    assert best_region(map01, regions, 0.0).boxes_xyxy.tolist() == [wide]  # not more of nothing
    warm = np.maximum(map01, np.float32(0.125))
    assert best_region(warm, regions, 0.0).boxes_xyxy.tolist() == [all_of_it]
    levels = np.array([0.0, 0.3, 0.6, 0.99], np.float32)
    assert best_regions(warm, regions, levels).tolist() == [all_of_it, wide, tight, tight]


def test_no_region_is_best_where_none_has_enough_heat():
    regions = np.array([[0, 0, 20, 20], [10, 10, 20, 20]], np.float32)
    small = box_map(20, 20, (0, 0, 5, 5, 1.0))  # 1/16 of the image
    assert len(best_region(small, regions, 0.3).heat) == 0
    assert len(best_region(small, regions, 0.05).heat) == 1
    for cutoff in (0.0, 0.5):
        assert len(best_region(np.zeros((20, 20), np.float32), regions, cutoff).heat) == 0
        assert len(best_region(small, regions[:0], cutoff).heat) == 0


def test_resized_regions_are_whole_pixels_inside_the_image():
    regions = np.array([[0, 0, 64, 64], [1, 2, 33, 35], [63, 63, 64, 64]], np.float32)
    found = resized_regions(regions, (64, 64), (100, 40))
    assert found.tolist() == [[0, 0, 100, 40], [2, 1, 52, 22], [98, 39, 100, 40]]
    assert resized_regions(regions[:0], (64, 64), (100, 40)).shape == (0, 4)
    # However small the image gets, a region keeps a pixel.
    assert resized_regions(regions[2:], (64, 64), (3, 1)).tolist() == [[2, 0, 3, 1]]


def test_a_size_of_its_own_changes_nothing():
    regions = np.array([[0, 0, 1, 1], [5, 7, 64, 48]], np.float32)
    np.testing.assert_array_equal(resized_regions(regions, (64, 48), (64, 48)), regions)
