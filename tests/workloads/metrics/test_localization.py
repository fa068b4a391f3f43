"""Boxes of given and of guessed classes, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from prediction_cases import PLAIN, SIDE, box_map, image_of, measure, truth_of

from workloads.metrics.centre import centre_iou, centre_map
from workloads.metrics.max_box_acc import MaxBoxAccV2

TWO = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0), (14, 14, 20, 20, 1.0))
AT_LARGE, AT_SMALL = (0, 0, 10, 10), (14, 14, 20, 20)

# GT-known


def test_gt_known():
    off = box_map(SIDE, SIDE, (0, 0, 10, 10, 0.2), (0, 0, 4, 4, 1.0))
    images = [
        image_of(truth_of((0, 0, 10, 10, 0)), {0: PLAIN}),  # exact
        image_of(truth_of((0, 0, 10, 5, 0)), {0: PLAIN}),  # IoU exactly 0.5 counts
        image_of(truth_of((0, 0, 10, 4, 0)), {0: PLAIN}),  # 0.4
        image_of(truth_of((0, 0, 10, 10, 1), (15, 15, 20, 20, 1)), {1: PLAIN}),  # any box of it
        image_of(truth_of((0, 0, 10, 10, 1)), {1: off}),  # 16 of 100 at this cut-off
    ]
    found = measure("gt_known", images)
    assert found.per_class == pytest.approx({0: 2 / 3, 1: 1 / 2})
    assert found.value == pytest.approx(3 / 5)
    assert found.details["mean_over_classes"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # IoU 1, .5, .4, 1 and .16 in twenty bins.
    expected = [0] * 20
    expected[3] = expected[8] = expected[10] = 1
    expected[19] = 2
    assert found.details["iou_histogram"] == expected
    assert (found.counted, found.skipped) == (5, 0)
    assert measure("gt_known", images, iou=0.4).value == pytest.approx(4 / 5)
    low = [image_of(i.prediction.truth, {1: off}, cutoff=0.1) for i in images[4:]]
    assert measure("gt_known", low).value == 1.0


@pytest.mark.parametrize("name", ["gt_known", "top1_loc", "corloc", "corloc_any"])
def test_box_widths(name):
    # The box is 10 x 10. Half-open 49 / 100; with widths + 1 it is 64 / 121, over one half.
    image = image_of(truth_of((0, 0, 7, 7, 0)), {0: PLAIN})
    assert measure(name, [image]).value == 0.0
    assert measure(name, [image], box_widths="plus_one").value == 1.0


@pytest.mark.parametrize("name", ["gt_known", "top1_loc", "corloc", "max_box_acc"])
def test_one_box_is_that_of_the_largest_component_whatever_the_box_rule(name):
    small = image_of(truth_of((*AT_SMALL, 0)), {0: TWO}, box_rule="all")
    large = image_of(truth_of((*AT_LARGE, 0)), {0: TWO}, box_rule="all")
    assert measure(name, [small]).value == 0.0
    assert measure(name, [large]).value == 1.0


@pytest.mark.parametrize("name", ["gt_known", "top1_loc", "corloc", "corloc_any", "box_f1"])
def test_a_map_without_foreground_has_no_box(name):
    flat = image_of(truth_of((0, 0, 20, 20, 0)), {0: np.ones((SIDE, SIDE), np.float32)})
    assert measure(name, [flat]).value == 0.0


# The centre baseline


def test_the_centre_map_is_a_pyramid_over_the_whole_image():
    pyramid = centre_map(8, 4)
    assert pyramid.shape == (4, 8)
    assert pyramid.min() > 0
    np.testing.assert_array_equal(pyramid, pyramid[::-1, ::-1])
    assert pyramid.max() == pyramid[1, 3] == pyramid[2, 4]


def test_centre_iou_of_every_size():
    centred = np.array([[5, 5, 15, 15]])
    found = centre_iou(SIDE, SIDE, centred, 10)
    assert found[0] == pytest.approx(100 / 400)  # above 0 the box is the whole image
    assert found.max() == 1.0
    assert centre_iou(SIDE, SIDE, np.array([[0, 0, 1, 1]]), 10).tolist() == [1 / 400] + [0.0] * 9


@pytest.mark.parametrize("name", ["gt_known", "corloc", "corloc_any", "top1_loc", "max_box_acc"])
def test_the_centre_baseline_has_one_size_for_the_split(name):
    small, large = truth_of((8, 8, 12, 12, 0)), truth_of((1, 1, 19, 19, 0))
    found = measure(name, [image_of(t, {0: PLAIN}) for t in (small, large, large)])
    # 16 px fit no box of which 324 px are half, so the two large ones win.
    assert found.centre == pytest.approx(2 / 3)
    if "centre_cutoff" in found.details:
        assert found.details["centre_cutoff"] < 0.3


def test_the_centre_baseline_of_corloc_is_a_mean_over_classes():
    small, large = (8, 8, 12, 12), (1, 1, 19, 19)
    truths = [truth_of((*large, 0)), truth_of((*large, 0)), truth_of((*small, 1))]
    images = [image_of(t, {0: PLAIN, 1: PLAIN}) for t in truths]
    assert measure("corloc", images).centre == pytest.approx(1 / 2)
    assert measure("gt_known", images).centre == pytest.approx(2 / 3)


# Top-1, top-5 and top-5* localization


def test_top_1_and_top_5_localization():
    images = [
        image_of(truth_of((*AT_LARGE, 0)), {0: PLAIN}, (0.9, 0.5, 0.1)),
        image_of(truth_of((*AT_LARGE, 1)), {0: PLAIN, 1: PLAIN}, (0.9, 0.5, 0.1)),  # second class
        image_of(truth_of((*AT_SMALL, 0)), {0: PLAIN}, (0.9, 0.5, 0.1)),  # right class, wrong box
        image_of(truth_of((*AT_LARGE, 0, True)), {0: PLAIN}),  # difficult only
        image_of(truth_of(labels=(0,)), {0: PLAIN}),  # no box
    ]
    first, five = (measure(name, images) for name in ("top1_loc", "top5_loc"))
    assert first.value == pytest.approx(1 / 3)
    assert first.per_class == {0: 1 / 2, 1: 0.0}
    assert first.details["error"] == pytest.approx(2 / 3)
    assert five.value == pytest.approx(2 / 3)
    assert five.per_class == {0: 1 / 2, 1: 1.0}
    for found in (first, five):
        assert (found.counted, found.skipped) == (3, 2)
    # Of three classes the first image stores one map, the second two, the third one.
    assert first.details["guesses_without_map"] == 0
    assert five.details["guesses_without_map"] == 2 + 1 + 2


def test_one_class_of_several_is_enough():
    truth = truth_of((*AT_LARGE, 0), (*AT_SMALL, 1))
    image = image_of(truth, {0: PLAIN, 1: PLAIN}, (0.9, 0.5, 0.1))
    found = measure("top1_loc", [image])
    assert (found.value, found.counted) == (1.0, 1)
    assert found.per_class == {0: 1.0, 1: 1.0}  # of the images of class 1 this one is right


def test_top_5_is_five_classes():
    scores = (0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    maps = dict.fromkeys(range(6), PLAIN)
    at = [image_of(truth_of((*AT_LARGE, k)), maps, scores) for k in range(6)]
    assert measure("top5_loc", at, classes=6).per_class == {**dict.fromkeys(range(5), 1.0), 5: 0.0}
    assert measure("top5_star_loc", at, classes=6).per_class == {
        **dict.fromkeys(range(3), 1.0),
        **dict.fromkeys(range(3, 6), 0.0),
    }


def test_top_5_star_has_two_boxes_for_the_first_two_classes():
    def found_at(label: int, box: tuple) -> list[float]:
        image = image_of(truth_of((*box, label)), dict.fromkeys(range(3), TWO), (0.9, 0.5, 0.1))
        return [measure(f"{name}_loc", [image]).value for name in ("top1", "top5", "top5_star")]

    assert found_at(0, AT_LARGE) == [1.0, 1.0, 1.0]
    assert found_at(0, AT_SMALL) == [0.0, 0.0, 1.0]
    assert found_at(1, AT_SMALL) == [0.0, 0.0, 1.0]
    assert found_at(2, AT_LARGE) == [0.0, 1.0, 1.0]
    assert found_at(2, AT_SMALL) == [0.0, 0.0, 0.0]


def test_the_centre_baseline_of_guesses_needs_the_right_class():
    centred = (5, 5, 15, 15)
    images = [
        image_of(truth_of((*centred, 0)), {0: PLAIN}),
        image_of(truth_of((*centred, 1)), {1: PLAIN}),
    ]
    assert measure("top1_loc", images).centre == 1 / 2
    assert measure("top5_loc", images).centre == 1.0


# CorLoc


def test_corloc():
    images = [
        image_of(truth_of((*AT_LARGE, 0)), {0: TWO}),
        image_of(truth_of((*AT_LARGE, 0), (*AT_SMALL, 0)), {0: TWO}),  # one instance is enough
        image_of(truth_of((*AT_SMALL, 0)), {0: TWO}),
        image_of(truth_of((*AT_SMALL, 1)), {1: TWO}),
    ]
    found = measure("corloc", images)
    assert found.per_class == pytest.approx({0: 2 / 3, 1: 0.0})
    assert found.value == pytest.approx(1 / 3)
    assert found.details["mean_over_pairs"] == pytest.approx(1 / 2)
    assert (found.counted, found.skipped) == (4, 0)
    lenient = measure("corloc_any", images)
    assert lenient.per_class == {0: 1.0, 1: 1.0}
    assert measure("corloc", images, iou=1.0).value == found.value


# MaxBoxAcc


def test_max_box_acc_v2():
    # Above .5 the map leaves the second box alone, below it a wide first one too.
    steps = box_map(SIDE, SIDE, (0, 0, 10, 10, 0.5), (12, 12, 16, 16, 1.0))
    images = [
        image_of(truth_of((12, 12, 16, 16, 0)), {0: steps}),  # any component, at every cut-off
        image_of(truth_of((0, 0, 10, 6, 1)), {1: steps}),  # 0.6, below .5 only
        image_of(truth_of((0, 0, 10, 4, 1)), {1: steps}),  # 0.4, below .5 only
    ]
    found = measure("max_box_acc_v2", images, thresholds=10)
    by_iou = found.details["by_iou"]
    assert [by_iou[d]["value"] for d in ("0.3", "0.5", "0.7")] == pytest.approx([1, 2 / 3, 1 / 3])
    assert by_iou["0.3"]["curve"] == pytest.approx([1] * 5 + [1 / 3] * 5)
    assert by_iou["0.5"]["best_cutoff"] == 0.0
    assert found.value == pytest.approx(2 / 3)
    assert found.per_class == pytest.approx({0: 1.0, 1: 1 / 2})
    assert found.counted == 3


def test_max_box_acc():
    # The same with the largest component alone: the first box below .5, the second above.
    steps = box_map(SIDE, SIDE, (0, 0, 10, 10, 0.5), (12, 12, 16, 16, 1.0))
    images = [
        image_of(truth_of((12, 12, 16, 16, 0)), {0: steps}),  # above .5 only
        image_of(truth_of((0, 0, 10, 6, 1)), {1: steps}),  # 0.6, below .5 only
        image_of(truth_of((0, 0, 10, 5, 1)), {1: steps}),  # 0.5, below .5 only
    ]
    found = measure("max_box_acc", images, thresholds=10)
    assert found.value == pytest.approx(2 / 3)
    assert found.per_class == {0: 0.0, 1: 1.0}
    assert found.details["by_iou"]["0.5"]["curve"] == pytest.approx([2 / 3] * 5 + [1 / 3] * 5)
    strict = measure("max_box_acc", images, thresholds=10, iou=0.7)
    assert strict.value == pytest.approx(1 / 3)
    assert strict.details["by_iou"]["0.7"]["best_cutoff"] == 0.5


def test_the_best_cutoff_is_one_for_the_split():
    # Below .5 the box is the whole image but for a corner, above it the small one.
    nested = box_map(SIDE, SIDE, (0, 0, 20, 20, 0.5), (0, 0, 4, 4, 1.0), (19, 19, 20, 20, 0.0))
    images = [
        image_of(truth_of((0, 0, 20, 20, 0)), {0: nested}),
        image_of(truth_of((0, 0, 4, 4, 0)), {0: nested}),
    ]
    for name in ("max_box_acc", "max_box_acc_v2"):
        assert measure(name, images).value == 0.5
        assert measure(name, images[:1]).value == 1.0
        assert measure(name, images[1:]).value == 1.0


def test_curves_have_at_most_101_points():
    metric = MaxBoxAccV2(1)
    metric.update(image_of(truth_of((0, 0, 10, 10, 0)), {0: PLAIN}, (1.0,)))
    details = metric.result().details
    assert len(details["curve_cutoffs"]) == len(details["by_iou"]["0.5"]["curve"]) == 100
    assert details["curve_cutoffs"][:3] == [0.0, 0.01, 0.02]


def test_the_toolkits_protocol_rounds_in_its_own_way():
    # The toolkit's box reaches from 0 to 10, inclusive, if the frame is the image: 121 px. Of the
    # truth it takes 0 .. 7 with 64 px: over one half, where it is 49 / 100 exactly.
    image = image_of(truth_of((0, 0, 7, 7, 0)), {0: PLAIN})
    for name in ("max_box_acc", "max_box_acc_v2"):
        exact = measure(name, [image]).details["by_iou"]["0.5"]["value"]
        toolkit = measure(name, [image], protocol="wsolevaluation", frame=SIDE)
        assert (exact, toolkit.details["by_iou"]["0.5"]["value"]) == (0.0, 1.0)
