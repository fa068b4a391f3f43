"""Points, with the class given and with the class predicted, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from prediction_cases import PLAIN, image_of, measure, point_map, truth_of

from workloads.metrics.pointing import covered_area

# The pointing game


def test_pointing():
    box = (5, 5, 10, 10)
    images = [
        image_of(truth_of((*box, 0)), {0: point_map(5, 9)}),
        image_of(truth_of((*box, 0)), {0: point_map(4, 9)}),  # next to it
        image_of(truth_of((*box, 1)), {1: point_map(13, 13)}),  # 4 px right of and below the last
    ]
    exact = measure("pointing", images, pointing_tolerance_px=0)
    assert exact.per_class == pytest.approx({0: 0.5, 1: 0.0})
    assert exact.value == pytest.approx(0.25)  # a mean over classes, not over pairs
    assert exact.centre == 0.0  # (10, 10) is outside the half-open box
    square = measure("pointing", images, pointing_tolerance_px=4)
    assert square.per_class == pytest.approx({0: 1.0, 1: 1.0})
    assert square.centre == 1.0
    disc = measure("pointing", images, pointing_tolerance_px=5, pointing_shape="disc")
    assert disc.per_class == pytest.approx({0: 1.0, 1: 0.0})  # 4 * sqrt 2 > 5


def test_the_difficult_subset():
    def pointed(*boxes):
        return image_of(truth_of(*boxes), {k: point_map(1, 1) for k in range(3)})

    images = [
        pointed((0, 0, 5, 5, 0)),  # alone in the image
        pointed((0, 0, 5, 5, 0), (8, 8, 20, 20, 1)),  # class 0 is small, class 1 covers 0.36
        pointed((0, 0, 10, 10, 0), (12, 12, 14, 14, 2)),  # exactly a quarter is not less
        pointed((5, 5, 9, 9, 0), (5, 5, 9, 9, 1, True)),  # a difficult other class is one too
    ]
    everything = measure("pointing", images, pointing_tolerance_px=0)
    assert (everything.counted, everything.skipped) == (6, 1)
    # Left are class 0 of the second and the fourth image, and class 2 of the third.
    subset = measure("pointing_diff", images, pointing_tolerance_px=0)
    assert subset.counted == 3
    assert subset.skipped == 1 + 3
    assert subset.per_class == pytest.approx({0: 0.5, 2: 0.0})
    assert subset.value == pytest.approx(0.25)
    assert subset.centre == 0.0


def test_covered_area_counts_overlaps_once():
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [0, 0, 1, 1], [8, 8, 9.5, 9]], np.float32)
    assert covered_area(boxes) == 16 + 16 - 4 + 1.5


# Pointing with prediction


def pointed_at(image_id, score, point, *boxes, **truth):
    return image_of(truth_of(*boxes, **truth), {0: point_map(*point)}, (score, 0.0), image_id)


RANKED = [
    pointed_at("a", 0.9, (7, 7), (5, 5, 15, 15, 0)),  # true
    pointed_at("b", 0.8, (8, 0), (0, 0, 5, 5, 0)),  # 4 px beside it
    pointed_at("c", 0.7, (0, 0)),  # the class is not there
    pointed_at("d", 0.6, (3, 3), (0, 0, 5, 5, 0)),  # true
]
UNJUDGED = [
    pointed_at("e", 1.0, (0, 0), (9, 9, 12, 12, 0, True)),  # difficult only
    pointed_at("f", 1.0, (0, 0), labels=(0,)),  # no box
    pointed_at("g", 1.0, (0, 0), (9, 9, 12, 12, 0, False, True)),  # a crowd only
]


def test_pointing_with_prediction():
    # Ranked + - - +, of three objects: precision 1 at recall 1/3, 1/2 at 2/3, then nothing.
    area, eleven = (
        measure(name, RANKED + UNJUDGED, 2, prediction_tolerance_px=0)
        for name in ("pointing_map", "pointing_map_11pt")
    )
    assert area.per_class == pytest.approx({0: (1 + 1 / 2) / 3})
    assert area.value == pytest.approx(1 / 2)
    # Recall 0 .. 0.3 reads 1 (four points), 0.4 .. 0.6 reads 1/2 (three), the rest 0.
    assert eleven.value == pytest.approx((4 + 3 / 2) / 11)
    # Class 1 is in no image, but its scores are cases: 7 images, 2 classes, 3 pairs left out.
    assert (area.counted, area.skipped) == (11, 3)
    assert area.details == {"present": 3, "hits": 2}
    # The middle lies in the first box alone: + - - -, of three objects.
    assert area.centre == pytest.approx(1 / 3)


def test_pointing_with_prediction_has_its_own_tolerance():
    # Now b is true as well: + + - +, so (1 + 1 + 3/4) / 3.
    near = measure("pointing_map", RANKED, 2, prediction_tolerance_px=4, pointing_tolerance_px=0)
    assert near.value == pytest.approx((2 + 3 / 4) / 3)
    disc = measure("pointing_map", RANKED, 2, prediction_tolerance_px=4.01, pointing_shape="disc")
    assert disc.value == pytest.approx((2 + 3 / 4) / 3)


def test_a_class_that_is_never_pointed_at_has_a_value():
    found = measure("pointing_map", RANKED[1:2], 2, prediction_tolerance_px=0)
    assert found.value == 0.0


def test_an_absent_class_needs_no_map():
    absent = image_of(truth_of((0, 0, 10, 10, 0)), {0: PLAIN}, (0.9, 0.8))
    found = measure("pointing_map", [absent], 2)
    assert (found.value, found.counted) == (1.0, 2)
