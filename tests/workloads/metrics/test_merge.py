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

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.evaluation import case_table, evaluate_predictions, results_json
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics

CLASSES = 6
OPTIONS = MetricOptions(
    thresholds=50, frame=24, pointing_tolerance_px=2, prediction_tolerance_px=2, bootstrap=20
)
TOOLKIT = OPTIONS.model_copy(update={"protocol": "wsolevaluation", "blacklisted": "count"})
CUTOFFS = Cutoffs(cutoff=0.45, alpha=0.3, box_rule="all")
TOGETHER = np.random.default_rng(5).random((CLASSES, CLASSES))
IMAGES = random_predictions(seed=1, images=30, classes=CLASSES)


def accumulate(predictions, options=OPTIONS, names=tuple(METRICS)):
    metrics = build_metrics(names, CLASSES, options)
    rows = evaluate_predictions(predictions, CUTOFFS, TOGETHER, metrics)
    return metrics, rows


def text(metrics) -> str:
    return json.dumps(results_json(metrics))  # floats are written with all their digits


def merged(blocks, options=OPTIONS, names=tuple(METRICS)):
    metrics, rows = build_metrics(names, CLASSES, options), []
    for block in blocks:
        # As a worker sends it.
        part, of_block = pickle.loads(pickle.dumps(accumulate(block, options, names)))
        for name, metric in metrics.items():
            metric.merge(part[name])
        rows += of_block
    return metrics, rows


EXPECTED, ROWS = accumulate(IMAGES)
EXPECTED_TEXT, EXPECTED_TABLE = text(EXPECTED), case_table(ROWS, EXPECTED)
SPLITS = st.lists(st.integers(0, len(IMAGES)), max_size=5)


def blocks_of(order, cuts):
    images = [IMAGES[i] for i in order]
    return [images[a:b] for a, b in itertools.pairwise([0, *sorted(cuts), len(images)])]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(len(IMAGES))), SPLITS)
def test_any_split_in_any_order(order, cuts):
    metrics, rows = merged(blocks_of(order, cuts))
    assert text(metrics) == EXPECTED_TEXT
    assert case_table(rows, metrics).equals(EXPECTED_TABLE)


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(len(IMAGES))), SPLITS)
def test_any_split_in_any_order_with_the_toolkits_protocol(order, cuts):
    names = ("max_box_acc", "max_box_acc_v2", "gt_known")
    metrics, _ = merged(blocks_of(order, cuts), TOOLKIT, names)
    assert text(metrics) == text(accumulate(IMAGES, TOOLKIT, names)[0])


@pytest.mark.parametrize("name", METRICS)
def test_the_example_is_not_trivial(name):
    result = EXPECTED[name].result()
    assert 0 < result.value < 1
    assert len(result.per_class) > 1
    assert result.skipped > 0
    assert result.interval is not None


@pytest.mark.parametrize("name", METRICS)
def test_merging_changes_the_first_alone(name):
    ours, theirs = (
        accumulate(IMAGES[part], names=[name])[0] for part in (slice(9), slice(9, None))
    )
    before = text(theirs)
    ours[name].merge(theirs[name])
    assert text(theirs) == before
    assert text(ours) == json.dumps({name: json.loads(EXPECTED_TEXT)[name]})


def test_the_result_can_be_asked_for_more_than_once():
    assert text(EXPECTED) == EXPECTED_TEXT
