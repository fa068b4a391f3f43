"""Every metric on images small enough to work out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from prediction_cases import box_map, evaluated, prediction_of, truth_of

from workloads.errors import ConfigError, NotFound
from workloads.evaluation import evaluate_predictions, results_json
from workloads.metrics import METRICS, MetricOptions, build_metrics
from workloads.metrics.centre import centre_iou, centre_map
from workloads.metrics.max_box_acc import MaxBoxAccV2
from workloads.metrics.pointing import covered_area
from workloads.model_card import Cutoffs

SIDE = 20
PLAIN = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0))


def result_of(name, images, classes=3, **options):
    metric = METRICS[name](classes, MetricOptions(**options))
    for image in images:
        metric.update(image)
    return metric.result()


def image(truth, maps, scores=(0.9, 0.1, 0.1), image_id="a", **cutoffs):
    return evaluated(prediction_of(image_id, truth, list(scores), maps), **cutoffs)


# Classification


def test_classification_map():
    images = [
        image(truth_of((0, 0, 5, 5, 0)), {0: PLAIN}, (0.9, 0.6, 0.1)),
        image(truth_of((0, 0, 5, 5, 1)), {1: PLAIN}, (0.8, 0.5, 0.1)),
        image(truth_of((0, 0, 5, 5, 0)), {0: PLAIN}, (0.7, 0.4, 0.1)),
        # Only a difficult object of class 0: its high score neither helps nor harms.
        image(truth_of((0, 0, 5, 5, 0, True)), {0: PLAIN}, (1.0, 0.3, 0.1)),
    ]
    found = result_of("classification_map", images)
    # Class 0 is ranked + - +, class 1 is ranked - + - -.
    assert found.per_class == pytest.approx({0: (1 + 2 / 3) / 2, 1: 0.5})
    assert found.value == pytest.approx((5 / 6 + 0.5) / 2)
    assert found.details["eleven_point_per_class"]["0"] == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert (found.counted, found.skipped, found.centre) == (11, 1, None)


# GT-known


def test_gt_known():
    off = box_map(SIDE, SIDE, (0, 0, 10, 10, 0.2), (0, 0, 4, 4, 1.0))
    images = [
        image(truth_of((0, 0, 10, 10, 0)), {0: PLAIN}),  # exact
        image(truth_of((0, 0, 10, 5, 0)), {0: PLAIN}),  # IoU exactly 0.5 counts
        image(truth_of((0, 0, 10, 4, 0)), {0: PLAIN}),  # 0.4
        image(truth_of((0, 0, 10, 10, 1), (15, 15, 20, 20, 1)), {1: PLAIN}),  # any box of it
        image(truth_of((0, 0, 10, 10, 1)), {1: off}),  # 16 of 100 at this cut-off
    ]
    found = result_of("gt_known", images)
    assert found.per_class == pytest.approx({0: 2 / 3, 1: 1 / 2})
    assert found.value == pytest.approx(3 / 5)
    assert found.details["mean_over_classes"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (found.counted, found.skipped) == (5, 0)
    assert result_of("gt_known", images, iou=0.4).value == pytest.approx(4 / 5)
    low = [image(i.prediction.truth, {1: off}, cutoff=0.1) for i in images[4:]]
    assert result_of("gt_known", low).value == 1.0


def test_gt_known_takes_the_largest_component_whatever_the_box_rule():
    two = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0), (15, 15, 18, 18, 1.0))
    small = truth_of((15, 15, 18, 18, 0))
    assert result_of("gt_known", [image(small, {0: two}, box_rule="all")]).value == 0.0


def test_given_pairs_skip_classes_with_difficult_objects_only_or_without_boxes():
    truth = truth_of((0, 0, 10, 10, 0, True), (0, 0, 10, 10, 1), (12, 12, 20, 20, 1, True))
    at_difficult = box_map(SIDE, SIDE, (12, 12, 20, 20, 1.0))
    maps = {0: PLAIN, 1: at_difficult}
    for name in ("gt_known", "max_box_acc_v2", "pointing"):
        found = result_of(name, [image(truth, maps)])
        assert (found.counted, found.skipped) == (1, 1), name
        assert found.per_class == {1: 1.0}, name  # a difficult object may be found
        unboxed = result_of(name, [image(truth_of(labels=(2,)), {2: PLAIN})])
        assert (unboxed.counted, unboxed.skipped) == (0, 1), name
        assert math.isnan(unboxed.value), name


def test_a_missing_map_of_a_true_class_is_an_error():
    with pytest.raises(NotFound, match="no map of class 0"):
        result_of("gt_known", [image(truth_of((0, 0, 5, 5, 0)), {1: PLAIN})])


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


def test_the_centre_baseline_has_one_size_for_the_split():
    small, large = truth_of((8, 8, 12, 12, 0)), truth_of((1, 1, 19, 19, 0))
    images = [image(t, {0: PLAIN}) for t in (small, large, large)]
    found = result_of("gt_known", images)
    # 16 px fit no box of which 324 px are half, so the two large ones win.
    assert found.centre == pytest.approx(2 / 3)
    assert found.details["centre_cutoff"] < 0.3


# MaxBoxAccV2


def test_max_box_acc_v2():
    # Above .5 the map leaves the second box alone, below it a wide first one too.
    steps = box_map(SIDE, SIDE, (0, 0, 10, 10, 0.5), (12, 12, 16, 16, 1.0))
    images = [
        image(truth_of((12, 12, 16, 16, 0)), {0: steps}),  # any component, at every cut-off
        image(truth_of((0, 0, 10, 6, 1)), {1: steps}),  # 0.6, below .5 only
        image(truth_of((0, 0, 10, 4, 1)), {1: steps}),  # 0.4, below .5 only
    ]
    found = result_of("max_box_acc_v2", images, thresholds=10)
    by_iou = found.details["by_iou"]
    assert [by_iou[d]["value"] for d in ("0.3", "0.5", "0.7")] == pytest.approx([1, 2 / 3, 1 / 3])
    assert by_iou["0.3"]["curve"] == pytest.approx([1] * 5 + [1 / 3] * 5)
    assert by_iou["0.5"]["best_cutoff"] == 0.0
    assert found.value == pytest.approx(2 / 3)
    assert found.per_class == pytest.approx({0: 1.0, 1: 1 / 2})
    assert found.counted == 3


def test_the_best_cutoff_is_one_for_the_split():
    # Below .5 the box is the whole image but for a corner, above it the small one.
    nested = box_map(SIDE, SIDE, (0, 0, 20, 20, 0.5), (0, 0, 4, 4, 1.0), (19, 19, 20, 20, 0.0))
    images = [
        image(truth_of((0, 0, 20, 20, 0)), {0: nested}),
        image(truth_of((0, 0, 4, 4, 0)), {0: nested}),
    ]
    assert result_of("max_box_acc_v2", images).value == 0.5
    assert result_of("max_box_acc_v2", images[:1]).value == 1.0
    assert result_of("max_box_acc_v2", images[1:]).value == 1.0


def test_curves_have_at_most_101_points():
    metric = MaxBoxAccV2(1)
    metric.update(image(truth_of((0, 0, 10, 10, 0)), {0: PLAIN}, (1.0,)))
    details = metric.result().details
    assert len(details["curve_cutoffs"]) == len(details["by_iou"]["0.5"]["curve"]) == 100
    assert details["curve_cutoffs"][:3] == [0.0, 0.01, 0.02]


# Pointing


def point_map(x, y):
    return box_map(SIDE, SIDE, (x, y, x + 1, y + 1, 1.0))


def test_pointing():
    box = (5, 5, 10, 10)
    images = [
        image(truth_of((*box, 0)), {0: point_map(5, 9)}),
        image(truth_of((*box, 0)), {0: point_map(4, 9)}),  # next to it
        image(truth_of((*box, 1)), {1: point_map(13, 13)}),  # 4 px right of and below the last
    ]
    exact = result_of("pointing", images, pointing_tolerance_px=0)
    assert exact.per_class == pytest.approx({0: 0.5, 1: 0.0})
    assert exact.value == pytest.approx(0.25)  # a mean over classes, not over pairs
    assert exact.centre == 0.0  # (10, 10) is outside the half-open box
    square = result_of("pointing", images, pointing_tolerance_px=4)
    assert square.per_class == pytest.approx({0: 1.0, 1: 1.0})
    assert square.centre == 1.0
    disc = result_of("pointing", images, pointing_tolerance_px=5, pointing_shape="disc")
    assert disc.per_class == pytest.approx({0: 1.0, 1: 0.0})  # 4 * sqrt 2 > 5
    assert disc.details["shape"] == "disc"
    assert disc.details["tolerance_px"] == 5


def test_the_difficult_subset():
    def pointed(*boxes):
        maps = {k: point_map(1, 1) for k in range(3)}
        return image(truth_of(*boxes), maps)

    images = [
        pointed((0, 0, 5, 5, 0)),  # alone in the image
        pointed((0, 0, 5, 5, 0), (8, 8, 20, 20, 1)),  # class 0 is small, class 1 covers 0.36
        pointed((0, 0, 10, 10, 0), (12, 12, 14, 14, 2)),  # exactly a quarter is not less
        pointed((5, 5, 9, 9, 0), (5, 5, 9, 9, 1, True)),  # a difficult other class is one too
    ]
    found = result_of("pointing", images, pointing_tolerance_px=0)
    subset = found.details["difficult_subset"]
    assert found.counted == 6
    assert found.skipped == 1
    assert subset["counted"] == 3
    assert subset["per_class"] == pytest.approx({"0": 0.5, "2": 0.0})
    assert subset["value"] == pytest.approx(0.25)
    assert subset["centre"] == 0.0


def test_covered_area_counts_overlaps_once():
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [0, 0, 1, 1], [8, 8, 9.5, 9]], np.float32)
    assert covered_area(boxes) == 16 + 16 - 4 + 1.5


# Box F1


def test_box_f1():
    two = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0), (12, 12, 18, 18, 0.9))
    images = [
        # Class 0 found, its second object missed; class 1 detected but absent.
        image(truth_of((0, 0, 10, 10, 0), (12, 12, 18, 18, 0)), {0: two, 1: two}, (0.9, 0.8, 0.1)),
        # Class 2 present but below the threshold.
        image(truth_of((0, 0, 10, 10, 2)), {2: two}, (0.1, 0.1, 0.4)),
    ]
    found = result_of("box_f1", images)
    details = found.details
    assert [details[k] for k in ("true_positives", "false_positives", "false_negatives")] == [
        1,
        1,
        2,
    ]
    assert found.value == pytest.approx(2 / 5)
    assert found.per_class == pytest.approx({0: 2 / 3, 1: 0.0, 2: 0.0})
    assert details["mean_over_classes"] == pytest.approx(2 / 9)
    assert details["precision"] == pytest.approx(1 / 2)
    assert details["recall"] == pytest.approx(1 / 3)
    assert (found.counted, found.skipped, found.centre) == (3, 0, None)


def test_each_box_is_found_once():
    three = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0), (12, 0, 14, 2, 0.9), (12, 12, 18, 18, 0.8))
    truth = truth_of((0, 0, 10, 10, 0), (12, 12, 18, 18, 0))
    found = result_of("box_f1", [image(truth, {0: three}, box_rule="all")])
    assert found.details["true_positives"] == 2
    assert found.details["false_positives"] == 1
    nested = truth_of((0, 0, 10, 8, 0), (0, 0, 10, 10, 0))
    both = result_of("box_f1", [image(nested, {0: three})])
    assert (both.details["true_positives"], both.details["false_negatives"]) == (1, 1)


def test_difficult_objects_are_neither_found_nor_missed():
    truth = truth_of((0, 0, 10, 10, 0, True), (12, 12, 18, 18, 1))
    maps = {0: PLAIN, 1: PLAIN}
    found = result_of("box_f1", [image(truth, maps, (0.9, 0.9, 0.1))])
    assert found.details["ignored_detections"] == 1
    assert found.details["false_positives"] == 1  # class 1, beside its object
    assert found.details["false_negatives"] == 1
    assert (found.counted, found.skipped) == (1, 1)


def test_an_easy_object_is_taken_before_a_difficult_one():
    truth = truth_of((0, 0, 10, 10, 0, True), (0, 0, 10, 7, 0))
    found = result_of("box_f1", [image(truth, {0: PLAIN})])
    assert found.value == 1.0


def test_classes_without_boxes_or_maps_are_not_judged():
    truth = truth_of(labels=(0,))
    found = result_of("box_f1", [image(truth, {0: PLAIN}, (0.9, 0.9, 0.1))])
    assert found.details["ignored_detections"] == 1
    assert found.details["classes_without_map"] == 1  # class 1
    assert math.isnan(found.value)


# All together


def test_metrics_see_rescored_scores_and_count_the_images():
    predictions = [
        prediction_of("a", truth_of((0, 0, 10, 10, 0)), [0.2, 0.8], {0: PLAIN, 1: PLAIN}),
        prediction_of("b", truth_of((0, 0, 10, 10, 1)), [0.3, 0.0], {0: PLAIN, 1: PLAIN}),
    ]
    together = np.array([[0, 1.0], [0, 0]])
    values = {}
    for alpha in (0.0, 1.0):
        metrics = build_metrics(["classification_map", "box_f1"], 2)
        assert evaluate_predictions(predictions, Cutoffs(alpha=alpha), together, metrics) == 2
        values[alpha] = {k: m.result().per_class for k, m in metrics.items()}
    assert values[0.0] == {"classification_map": {0: 0.5, 1: 0.5}, "box_f1": {0: 0.0, 1: 0.0}}
    assert values[1.0] == {"classification_map": {0: 1.0, 1: 0.5}, "box_f1": {0: 1.0, 1: 0.0}}


def test_results_are_plain_json_even_without_any_image():
    metrics = build_metrics(METRICS, 2)
    results = json.loads(json.dumps(results_json(metrics), allow_nan=False))
    assert list(results) == list(METRICS)
    for name, result in results.items():
        assert result["value"] is None, name
        assert result["counted"] == 0, name
        assert result["title"] == METRICS[name].title


def test_unknown_metrics_are_named():
    with pytest.raises(ConfigError, match="did you mean 'pointing'"):
        build_metrics(["pointng"], 2)


@pytest.mark.parametrize("name", METRICS)
def test_accumulators_of_another_kind_do_not_merge(name):
    with pytest.raises(ValueError, match="cannot merge"):
        METRICS[name](2).merge(METRICS[name](3))
    with pytest.raises(ValueError, match="cannot merge"):
        METRICS[name](2).merge(METRICS[name](2, MetricOptions(iou=0.6)))
