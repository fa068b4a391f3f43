"""Confidence intervals: what a replicate is, and how intervals behave."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from prediction_cases import PLAIN, evaluated, image_of, measure, random_predictions, truth_of

from workloads.metrics.bootstrap import (
    class_mean,
    image_weights,
    per_class,
    percentile_interval,
    ratio,
    ratios,
)
from workloads.metrics.evaluation import results_json
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics

CLASSES = 6
IMAGES = random_predictions(seed=11, images=60, classes=CLASSES)
SMALL = {
    "thresholds": 50,
    "frame": 24,
    "pointing_tolerance_px": 1,
    "prediction_tolerance_px": 1,
    # At 0 all boxes of a map have one score, and COCO's number depends on their order.
    "ap_score_threshold": 0.1,
}
CUTOFFS = {"cutoff": 0.45, "box_rule": "all"}
GOLDEN = [1, 2, 0, 1, 2, 0, 0, 1, 1, 1, 1, 3, 0]


def value_of(name, predictions, **options):
    images = [evaluated(p, **CUTOFFS) for p in predictions]
    return measure(name, images, CLASSES, **SMALL, **options)


def test_weights_are_a_function_of_the_image_and_the_seed():
    # Golden: should they change, old intervals can no longer be had again.
    assert image_weights("2008_000001", 12, 0).tolist() == GOLDEN
    assert image_weights("2008_000001", 12, 1).tolist() != GOLDEN
    assert image_weights("2008_000002", 12, 0).tolist() != GOLDEN
    assert image_weights("2008_000001", 5, 0).tolist() == GOLDEN[:6]
    assert image_weights("2008_000001", 0, 0).tolist() == [1]


def test_weights_are_poisson():
    draws = np.array([image_weights(str(i), 100, 0)[1:] for i in range(1000)])
    assert draws.mean() == pytest.approx(1, abs=0.01)
    assert draws.var() == pytest.approx(1, abs=0.02)
    assert (draws == 0).mean() == pytest.approx(math.exp(-1), abs=0.005)
    # Neither images nor replicates go together.
    assert abs(np.corrcoef(draws[0::2].ravel(), draws[1::2].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(draws[:, ::2].ravel(), draws[:, 1::2].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("name", METRICS)
def test_a_replicate_is_the_metric_on_repeated_images(name):
    weights = [int(image_weights(p.image_id, 1, 0)[1]) for p in IMAGES]
    copies = [
        replace(p, image_id=f"{p.image_id}-{copy}")
        for p, weight in zip(IMAGES, weights, strict=True)
        for copy in range(weight)
    ]
    # With one replicate the interval is its value.
    found = value_of(name, IMAGES, bootstrap=1).interval
    assert found == pytest.approx([value_of(name, copies, bootstrap=0).value] * 2, rel=1e-12)
    assert found[0] != value_of(name, IMAGES, bootstrap=0).value


@pytest.mark.parametrize("name", METRICS)
def test_the_interval_has_the_value_inside(name):
    found = value_of(name, IMAGES, bootstrap=50)
    low, high = found.interval
    assert 0 <= low < high <= 1
    if not name.startswith("max_box_acc"):  # which takes the best cut-off of each replicate
        assert low <= found.value <= high
    wide = value_of(name, IMAGES, bootstrap=50, confidence=0.99).interval
    assert wide[0] <= low
    assert high <= wide[1]


def test_replicates_can_be_turned_off():
    metrics = build_metrics(METRICS, CLASSES, MetricOptions(bootstrap=0, **SMALL))
    for p in IMAGES:
        for metric in metrics.values():
            metric.update(evaluated(p, **CUTOFFS))
    results = results_json(metrics)
    assert {name for name in results if results[name]["interval"] is not None} == set()
    with_replicates = {name: value_of(name, IMAGES, bootstrap=2).value for name in METRICS}
    assert {name: result["value"] for name, result in results.items()} == with_replicates


def coin(n, rate=0.3):
    """N images of which a share is wrong."""
    truth = truth_of(labels=(0,))
    wrong = np.random.default_rng(n).random(n) < rate
    return [
        image_of(truth, {0: PLAIN}, (0.5, float(w), 0.0), f"{n}/{i}") for i, w in enumerate(wrong)
    ]


def test_intervals_shrink_with_the_square_root_of_the_images():
    few, many = (measure("top1_error", coin(n)) for n in (100, 1600))
    widths = [found.interval[1] - found.interval[0] for found in (few, many)]
    assert 3 < widths[0] / widths[1] < 5.3
    # As wide as the normal approximation has it.
    assert widths[1] == pytest.approx(2 * 1.96 * math.sqrt(0.3 * 0.7 / 1600), rel=0.25)


def test_intervals_cover_the_truth():
    covered = 0
    for n in range(100, 160):
        low, high = measure("top1_error", coin(n), bootstrap=100).interval
        covered += low <= 0.3 <= high
    assert covered >= 51  # of 60; 95 % would be 57


def test_percentiles():
    values = np.append(np.arange(101) / 100, [np.nan, np.nan])
    assert percentile_interval(values, 0.9) == pytest.approx((0.05, 0.95))
    assert percentile_interval(np.array([np.nan]), 0.9) is None
    assert percentile_interval(np.zeros(0), 0.9) is None


def test_ratios_and_means():
    of_classes = ratios(np.array([[1, 0, 3], [0, 0, 0]]), np.array([[2, 0, 4], [0, 0, 0]]))
    np.testing.assert_array_equal(of_classes, [[0.5, np.nan, 0.75], [np.nan] * 3])
    np.testing.assert_array_equal(class_mean(of_classes), [0.625, np.nan])
    assert per_class(of_classes[0]) == {0: 0.5, 2: 0.75}
    assert ratio(1, 4) == 0.25
    assert math.isnan(ratio(0, 0))
