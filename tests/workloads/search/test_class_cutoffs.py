"""A cut-off for each class: found where there is evidence, drawn to the common one elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from prediction_cases import box_map, prediction_of, random_predictions, truth_of

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.evaluation import evaluate_predictions
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import build_metrics
from workloads.search.class_cutoffs import PRIOR_OBJECTS, best_class_cutoffs, with_class_cutoffs
from workloads.search.objective import objective
from workloads.search.table import SearchTable

# Above .5 the box is the small one, below it the large one.
NESTED = box_map(20, 20, (0, 0, 16, 16, 0.5), (0, 0, 6, 6, 1.0))
SMALL, LARGE = (0, 0, 6, 6), (0, 0, 16, 16)
TWENTY = MetricOptions(thresholds=20)


def images(label: int, box: tuple, count: int):
    scores = [0.9 if k == label else 0.0 for k in range(3)]
    return [
        prediction_of(f"{label}-{box}-{i}", truth_of((*box, label)), scores, {label: NESTED})
        for i in range(count)
    ]


def table_of(rows) -> SearchTable:
    return SearchTable.build(rows, np.zeros((3, 3)), TWENTY)


@pytest.mark.parametrize("metric", ["gt_known", "box_f1"])
def test_each_class_gets_what_suits_it(metric):
    table = table_of(images(0, SMALL, 80) + images(1, LARGE, 60))
    trial = {"alpha": 0.0, **objective(table, 0.8, 0.0)}
    changed, found = with_class_cutoffs(table, trial, metric, (0.05, 0.9))
    # Of equally good cut-offs the nearest to the common one; class 2 has no object.
    assert found == (0.8, 0.45, 0.8)
    assert (trial["gt_known"], changed["gt_known"]) == (pytest.approx(80 / 140), 1.0)
    assert changed["box_f1"] == 1.0
    assert changed == {"alpha": 0.0, **objective(table, 0.8, 0.0, found)}


@pytest.mark.parametrize("metric", ["gt_known", "box_f1"])
def test_a_rare_class_follows_the_others(metric):
    # All other objects want a high cut-off; its own two want a low one.
    few = table_of(images(0, SMALL, 80) + images(1, LARGE, 2))
    assert best_class_cutoffs(few, 0.8, 0.0, 0.5, metric) == (0.8, 0.8, 0.8)
    many = table_of(images(0, SMALL, 80) + images(1, LARGE, 2 * PRIOR_OBJECTS))
    assert best_class_cutoffs(many, 0.8, 0.0, 0.5, metric) == (0.8, 0.45, 0.8)


def test_cutoffs_stay_in_their_limits():
    table = table_of(images(0, SMALL, 80) + images(1, LARGE, 60))
    assert best_class_cutoffs(table, 0.3, 0.0, 0.5, "gt_known", (0.1, 0.4)) == (0.3, 0.3, 0.3)
    assert best_class_cutoffs(table, 0.8, 0.0, 0.5, "gt_known", (0.6, 0.9)) == (0.8, 0.8, 0.8)


def test_nothing_is_changed_where_nothing_is_won():
    table = table_of(images(0, SMALL, 40) + images(1, SMALL, 40))
    trial = {"alpha": 0.0, **objective(table, 0.8, 0.0)}
    for metric in ("gt_known", "box_f1", "classification_map"):
        assert with_class_cutoffs(table, trial, metric, (0.05, 0.9)) == (trial, ())


def test_scores_below_the_threshold_have_no_say():
    # The confident half wants a high cut-off, the other half would want a low one.
    unsure = [
        prediction_of(f"low-{i}", truth_of((*LARGE, 0)), [0.1, 0, 0], {0: NESTED})
        for i in range(80)
    ]
    table = table_of(images(0, SMALL, 60) + unsure)
    assert best_class_cutoffs(table, 0.3, 0.0, 0.5) == (0.5, 0.3, 0.3)
    assert best_class_cutoffs(table, 0.3, 0.0, 0.05) == (0.3, 0.3, 0.3)


def test_what_is_promised_is_what_evaluation_finds():
    rows = random_predictions(seed=5, images=80, classes=3)
    together = np.random.default_rng(1).random((3, 3)) / 4
    table = SearchTable.build(rows, together, TWENTY)
    trial = {"alpha": 0.2, **objective(table, 0.5, 0.2)}
    changed, found = with_class_cutoffs(table, trial, "box_f1", (0.0, 1.0))
    assert changed["box_f1"] > trial["box_f1"]
    cutoffs = Cutoffs(class_cutoffs=found, alpha=0.2, score_threshold=changed["score_threshold"])
    metrics = build_metrics(["box_f1", "gt_known", "classification_map"], 3)
    evaluate_predictions(rows, cutoffs, together, metrics)
    assert {k: m.result().value for k, m in metrics.items()} == {k: changed[k] for k in metrics}
