"""Classification by hand, and what all metrics have in common."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from prediction_cases import PLAIN, image_of, measure, prediction_of, truth_of

from workloads.errors import ConfigError, NotFound
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.base import Metric
from workloads.metrics.evaluation import evaluate_predictions, results_json
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics

MIDDLE = truth_of((0, 0, 5, 5, 0))

# Classification


def test_classification_map():
    images = [
        image_of(truth_of((0, 0, 5, 5, 0)), {0: PLAIN}, (0.9, 0.6, 0.1)),
        image_of(truth_of((0, 0, 5, 5, 1)), {1: PLAIN}, (0.8, 0.5, 0.1)),
        image_of(truth_of((0, 0, 5, 5, 0)), {0: PLAIN}, (0.7, 0.4, 0.1)),
        # Only a difficult object of class 0: its high score neither helps nor harms.
        image_of(truth_of((0, 0, 5, 5, 0, True)), {0: PLAIN}, (1.0, 0.3, 0.1)),
    ]
    found = measure("classification_map", images)
    # Class 0 is ranked + - +, class 1 is ranked - + - -.
    assert found.per_class == pytest.approx({0: (1 + 2 / 3) / 2, 1: 0.5})
    assert found.value == pytest.approx((5 / 6 + 0.5) / 2)
    assert found.details["eleven_point_per_class"]["0"] == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert (found.counted, found.skipped, found.centre) == (11, 1, None)


def test_top_1_and_top_5_error():
    scores = (0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
    images = [
        image_of(truth_of(labels=(0,)), {0: PLAIN}, scores),
        image_of(truth_of(labels=(4,)), {0: PLAIN}, scores),  # the fifth
        image_of(truth_of(labels=(5,)), {0: PLAIN}, scores),  # the sixth
        image_of(truth_of(labels=(1, 5)), {0: PLAIN}, scores),  # one of them is enough
        image_of(truth_of(), {0: PLAIN}, scores),  # nothing to be found
        image_of(truth_of((0, 0, 5, 5, 3, True)), {0: PLAIN}, scores),  # difficult only
    ]
    first, five = (measure(name, images, 6) for name in ("top1_error", "top5_error"))
    assert (first.value, first.counted, first.skipped) == (3 / 4, 4, 2)
    assert first.per_class == {0: 0.0, 1: 1.0, 4: 1.0, 5: 1.0}
    assert (five.value, five.counted, five.skipped) == (1 / 4, 4, 2)
    assert five.per_class == {0: 0.0, 1: 0.0, 4: 0.0, 5: 1 / 2}


def test_of_equal_scores_the_lower_class_is_first():
    image = image_of(truth_of(labels=(1,)), {0: PLAIN}, (0.5, 0.5, 0.5))
    assert measure("top1_error", [image]).value == 1.0


# All together


def test_metrics_see_rescored_scores():
    predictions = [
        prediction_of("a", truth_of((0, 0, 10, 10, 0)), [0.2, 0.8], {0: PLAIN, 1: PLAIN}),
        prediction_of("b", truth_of((0, 0, 10, 10, 1)), [0.3, 0.0], {0: PLAIN, 1: PLAIN}),
    ]
    together = np.array([[0, 1.0], [0, 0]])
    values = {}
    for alpha in (0.0, 1.0):
        metrics = build_metrics(["classification_map", "box_f1"], 2)
        evaluate_predictions(predictions, Cutoffs(alpha=alpha), together, metrics)
        values[alpha] = {k: m.result().per_class for k, m in metrics.items()}
    assert values[0.0] == {"classification_map": {0: 0.5, 1: 0.5}, "box_f1": {0: 0.0, 1: 0.0}}
    assert values[1.0] == {"classification_map": {0: 1.0, 1: 0.5}, "box_f1": {0: 1.0, 1: 0.0}}


def test_results_are_plain_json_even_without_any_image():
    metrics = build_metrics(METRICS, 2)
    results = json.loads(json.dumps(results_json(metrics), allow_nan=False))
    assert list(results) == list(METRICS)
    for name, result in results.items():
        assert result["value"] is None, name
        assert result["interval"] is None, name
        assert result["counted"] == 0, name
        assert result["title"] == METRICS[name].title


def test_results_say_which_options_were_used():
    options = MetricOptions(iou=0.6, bootstrap=3, confidence=0.9, pointing_tolerance_px=7)
    results = results_json(build_metrics(METRICS, 2, options))
    bootstrap = {"bootstrap": 3, "bootstrap_seed": 0, "confidence": 0.9}
    assert results["classification_map"]["options"] == bootstrap
    assert results["pointing"]["options"] == {
        "pointing_tolerance_px": 7.0,
        "pointing_shape": "square",
        "pointing_difficult_only": "skip",
        "blacklisted": "skip",
        **bootstrap,
    }
    assert results["box_f1"]["options"]["iou"] == 0.6


@pytest.mark.parametrize("name", METRICS)
def test_the_registry_is_sound(name):
    metric = METRICS[name]
    assert metric.name == name
    assert metric.title
    assert set(metric.uses) <= set(MetricOptions.model_fields)
    assert set(metric.columns.values()) <= {bool, int, float}
    assert metric.__doc__ != Metric.__doc__


def test_titles_differ():
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)


def test_unknown_metrics_are_named():
    with pytest.raises(ConfigError, match="did you mean 'pointing'"):
        build_metrics(["pointng"], 2)


@pytest.mark.parametrize("name", METRICS)
def test_accumulators_of_another_kind_do_not_merge(name):
    with pytest.raises(ValueError, match="cannot merge"):
        METRICS[name](2).merge(METRICS[name](3))
    with pytest.raises(ValueError, match="cannot merge"):
        METRICS[name](2).merge(METRICS[name](2, MetricOptions(iou=0.6)))


GIVEN = (
    "gt_known", "max_box_acc", "max_box_acc_v2", "corloc", "corloc_any", "pointing",
    "pointing_map",
)  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_a_missing_map_of_a_true_class_is_an_error(name):
    with pytest.raises(NotFound, match="no map of class 0"):
        measure(name, [image_of(MIDDLE, {1: PLAIN})])


PAIRS = ("gt_known", "max_box_acc", "max_box_acc_v2", "corloc", "corloc_any", "pointing")


@pytest.mark.parametrize("name", PAIRS)
def test_given_pairs(name):
    """Classes with difficult objects only, crowds only or no boxes are skipped."""
    truth = truth_of(
        (0, 0, 10, 10, 0, True),
        (0, 0, 10, 10, 1),
        (12, 12, 20, 20, 1, True),
        (12, 12, 20, 20, 2, False, True),
    )
    at_difficult = np.zeros_like(PLAIN)
    at_difficult[12:, 12:] = 1.0
    maps = {0: PLAIN, 1: at_difficult, 2: at_difficult}
    found = measure(name, [image_of(truth, maps)])
    assert (found.counted, found.skipped) == (1, 2)
    assert found.per_class == {1: 1.0}  # a difficult object may be found
    unboxed = measure(name, [image_of(truth_of(labels=(2,)), {2: PLAIN})])
    assert (unboxed.counted, unboxed.skipped) == (0, 1)
    assert math.isnan(unboxed.value)


LOCALIZATION = sorted(n for n in METRICS if "blacklisted" in METRICS[n].uses)


@pytest.mark.parametrize("name", LOCALIZATION)
def test_blacklisted_images_are_skipped_unless_they_are_to_count(name):
    mask = (PLAIN > 0).astype(np.uint8)
    # A second class makes the pair one of the difficult subset; PxAP wants one class alone.
    other = () if name == "pxap" else ((12, 12, 14, 14, 1),)
    truth = truth_of((0, 0, 8, 8, 0), *other, mask=mask, blacklisted=True)
    image = image_of(truth, {0: PLAIN, 1: PLAIN}, proposal=PLAIN)
    skipped, counted = (measure(name, [image], blacklisted=b) for b in ("skip", "count"))
    assert skipped.counted == 0
    assert skipped.skipped > 0
    assert math.isnan(skipped.value)
    assert counted.counted > 0
    assert not math.isnan(counted.value)


def test_everything_that_judges_places_knows_the_blacklist():
    classification = {"classification_map", "classification_map_11pt", "top1_error", "top5_error"}
    assert set(LOCALIZATION) == set(METRICS) - classification
