"""Two models on the same images: the replicates are pairs, whatever the metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_cases import evaluated, image_of, point_map, random_predictions, truth_of

from workloads.errors import ConfigError
from workloads.metrics.base import Metric
from workloads.metrics.bootstrap import image_weights
from workloads.metrics.options import MetricOptions
from workloads.metrics.paired import compared
from workloads.metrics.registry import METRICS

CLASSES = 3
OPTIONS = MetricOptions(thresholds=20, frame=24, bootstrap=25, ap_score_threshold=0.1)
HIT, MISS = point_map(5, 5), point_map(15, 15)
TRUTH = truth_of((0, 0, 10, 10, 0))


def counted(name: str, cutoff: float) -> Metric:
    metric = METRICS[name](CLASSES, OPTIONS)
    for prediction in random_predictions(seed=4, images=20, classes=CLASSES):
        metric.update(evaluated(prediction, cutoff=cutoff, box_rule="all"))
    return metric


def pointing(hits: list[bool], **options: object) -> Metric:
    chosen = MetricOptions(pointing_tolerance_px=0, bootstrap=200).model_copy(update=options)
    metric = METRICS["pointing"](CLASSES, chosen)
    for index, hit in enumerate(hits):
        metric.update(image_of(TRUTH, {0: HIT if hit else MISS}, image_id=str(index)))
    return metric


@pytest.mark.parametrize("name", METRICS)
def test_a_model_is_no_better_than_itself(name: str) -> None:
    found = compared(counted(name, 0.4), counted(name, 0.4))
    assert found.values.difference == 0
    assert found.interval == (0, 0)
    assert found.share_better == 0.5
    assert not found.is_better
    assert not found.is_worse
    assert all(pair.difference == 0 for pair in found.per_class.values())


@pytest.mark.parametrize("name", METRICS)
def test_layers_begin_with_the_value(name: str) -> None:
    result = counted(name, 0.4).result()
    assert result.layers.shape == (1 + OPTIONS.bootstrap,)
    assert result.layers[0] == pytest.approx(result.value, abs=1e-12)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_differences_of_replicates_are_those_of_the_same_images(
    hits: list[tuple[bool, bool]],
) -> None:
    old, new = (list(column) for column in zip(*hits, strict=True))
    found = compared(pointing(old), pointing(new))
    weights = np.array([image_weights(str(i), 200, 0) for i in range(len(hits))])[:, 1:]
    gained = np.array(new, int) - np.array(old, int)
    drawn = weights.sum(axis=0)
    plain = (weights * gained[:, None]).sum(axis=0)[drawn > 0] / drawn[drawn > 0]
    assert found.values.difference == pytest.approx(gained.mean())
    assert found.interval == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=1e-12)
    equal, better = (plain == 0).mean(), (plain > 1e-12).mean()
    assert found.share_better == pytest.approx(better + equal / 2, abs=1e-9)


def test_a_clear_gain_is_told_and_mirrored() -> None:
    old, new = pointing([i % 4 == 0 for i in range(60)]), pointing([i % 4 != 1 for i in range(60)])
    better, worse = compared(old, new), compared(new, old)
    assert (better.is_better, better.is_worse) == (True, False)
    assert (worse.is_better, worse.is_worse) == (False, True)
    assert worse.interval == pytest.approx([-end for end in reversed(better.interval or ())])
    assert better.values.difference == pytest.approx(0.5)


def test_fewer_errors_are_better() -> None:
    def errors(share: int) -> Metric:
        metric = METRICS["top1_error"](CLASSES, OPTIONS)
        for index in range(40):
            scores = (0.1, 0.9, 0.1) if index % share == 0 else (0.9, 0.1, 0.1)
            metric.update(image_of(TRUTH, {0: HIT}, scores, image_id=str(index)))
        return metric

    found = compared(errors(2), errors(10))
    assert found.values.difference < 0
    assert found.is_better
    assert found.share_better > 0.9


def test_the_pair_is_narrower_than_two_intervals() -> None:
    """Both miss the same half of the images; the candidate alone finds one more of ten."""
    old = [i % 2 == 0 for i in range(100)]
    new = [i % 2 == 0 or i % 10 == 1 for i in range(100)]
    champion, candidate = pointing(old), pointing(new)
    low, high = compared(champion, candidate).interval or (0, 0)
    own = candidate.result().interval or (0, 0)
    assert low > 0
    assert high - low < own[1] - own[0]


def test_without_replicates_nothing_can_be_told() -> None:
    with pytest.raises(ConfigError, match="bootstrap is 0, and two models are compared"):
        compared(pointing([True], bootstrap=0), pointing([True], bootstrap=0))


def test_other_options_are_not_compared() -> None:
    with pytest.raises(ValueError, match="cannot compare pointing"):
        compared(pointing([True]), pointing([True], pointing_tolerance_px=3.0))
