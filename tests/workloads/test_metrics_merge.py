"""However images are split over workers and merged, every metric gives the same bits."""

from __future__ import annotations

import itertools
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_cases import random_predictions

from workloads.evaluation import evaluate_predictions, results_json
from workloads.metrics import METRICS, MetricOptions, build_metrics
from workloads.model_card import Cutoffs

CLASSES = 3
OPTIONS = MetricOptions(thresholds=50, pointing_tolerance_px=2)
CUTOFFS = Cutoffs(cutoff=0.45, alpha=0.3, box_rule="all")
TOGETHER = np.random.default_rng(5).random((CLASSES, CLASSES))
IMAGES = random_predictions(seed=1, images=24, classes=CLASSES)


def accumulate(predictions):
    metrics = build_metrics(METRICS, CLASSES, OPTIONS)
    evaluate_predictions(predictions, CUTOFFS, TOGETHER, metrics)
    return metrics


def text(metrics) -> str:
    return json.dumps(results_json(metrics))  # floats are written with all their digits


EXPECTED = text(accumulate(IMAGES))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(len(IMAGES))), st.lists(st.integers(0, len(IMAGES)), max_size=5))
def test_any_split_in_any_order(order, cuts):
    images = [IMAGES[i] for i in order]
    bounds = [0, *sorted(cuts), len(images)]
    blocks = [images[a:b] for a, b in itertools.pairwise(bounds)]
    merged = build_metrics(METRICS, CLASSES, OPTIONS)
    for block in blocks:
        # As a worker sends it.
        part = pickle.loads(pickle.dumps(accumulate(block)))
        for name, metric in merged.items():
            metric.merge(part[name])
    assert text(merged) == EXPECTED


@pytest.mark.parametrize("name", METRICS)
def test_the_example_is_not_trivial(name):
    result = accumulate(IMAGES)[name].result()
    assert 0 < result.value < 1
    assert result.skipped > 0
