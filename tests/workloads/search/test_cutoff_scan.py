"""All cut-offs at once: the same values as one after the other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_cases import box_map, prediction_of, random_predictions, truth_of

from workloads.localization.cooccurrence import rescore
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.options import MetricOptions
from workloads.search.cutoff_scan import Scan, scan
from workloads.search.objective import objective
from workloads.search.table import SearchTable

TEN = MetricOptions(thresholds=10, bootstrap=0)


def made_table(rng: np.random.Generator, most: int) -> SearchTable:
    """A small table; pairs may have no box at any cut-off, and classes no object."""
    images, classes, cutoffs = rng.integers(1, 6), rng.integers(1, 4), rng.integers(1, 7)
    pairs = rng.integers(1, 9)
    counts = rng.integers(0, most + 1, (2, pairs, cutoffs)) * (rng.random((2, pairs, 1)) < 0.7)
    known = rng.integers(0, 3, classes)
    return SearchTable(
        scores=(rng.integers(0, 4, (images, classes)) / 4).astype(np.float32),
        positive=rng.random((images, classes)) < 0.5,
        difficult=rng.random((images, classes)) < 0.2,
        pair_image=rng.integers(0, images, pairs),
        pair_label=rng.integers(0, classes, pairs),
        true=counts[0].astype(np.uint8 if most < 256 else np.uint16),
        false=counts[1].astype(np.uint16),
        truths=rng.integers(0, 3, classes) * (rng.random() < 0.8),
        pairs=known,
        gt_known_hits=np.minimum(known[:, None], rng.integers(0, 3, (classes, cutoffs))),
        box_acc_hits=np.zeros((3, cutoffs), np.int64),
        cooccurrence=rng.random((classes, classes)),
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    most=st.sampled_from([0, 1, 2, 60_000]),
    alpha=st.sampled_from([0.0, 0.25, 1.0]),
)
def test_every_cutoff_is_what_it_is_alone(seed: int, most: int, alpha: float) -> None:
    table = made_table(np.random.default_rng(seed), most)
    found = scan(table, rescore(table.scores, table.cooccurrence, alpha))
    for k in range(table.thresholds):
        alone = objective(table, k / table.thresholds, alpha)
        np.testing.assert_equal(found.at(k), alone)


def test_so_it_is_with_boxes_of_maps() -> None:
    images = random_predictions(seed=4, images=30, classes=3)
    together = np.random.default_rng(0).random((3, 3)) / 4
    table = SearchTable.build(images, together, MetricOptions(thresholds=40))
    found = scan(table, rescore(table.scores, together, 0.3), slice(5, 33))
    assert len(found.cutoffs) == 28
    for index in (0, 9, 27):
        assert found.at(index) == objective(table, (5 + index) / 40, 0.3)
    assert len(set(found.box_f1)) > 5


def test_by_hand() -> None:
    """Above .5 the small box, below it the large one; .5 and .6 have the same scores twice."""
    nested = box_map(20, 20, (0, 0, 16, 16, 0.5), (0, 0, 6, 6, 1.0))
    rows = [
        prediction_of("a", truth_of((0, 0, 6, 6, 0)), [0.9, 0.6], {0: nested, 1: nested}),
        prediction_of("b", truth_of((0, 0, 16, 16, 0)), [0.6, 0.5], {0: nested, 1: nested}),
    ]
    found = scan(*scored(SearchTable.build(rows, np.zeros((2, 2)), TEN)))
    # Low cut-offs by score: .9 false; .6 true and false; .5 false. F1 0/3, 2/5, 2/6.
    assert found.box_f1[:5] == pytest.approx([2 / 5] * 5)
    assert found.score_threshold[:5].tolist() == [np.float32(0.6)] * 5
    # High ones: .9 true; .6 false and false; .5 false. F1 2/3, 2/5, 2/6.
    assert found.box_f1[5:] == pytest.approx([2 / 3] * 5)
    assert found.score_threshold[5:].tolist() == [np.float32(0.9)] * 5
    assert found.gt_known.tolist() == [0.5] * 10
    assert found.classification_map == 1.0
    assert found.cutoffs.tolist() == [k / 10 for k in range(10)]


def scored(table: SearchTable) -> tuple[SearchTable, np.ndarray]:
    return table, table.scores


def test_without_a_box_the_default_threshold_stands() -> None:
    flat = np.zeros((20, 20), np.float32)
    rows = [prediction_of("a", truth_of((0, 0, 10, 10, 0)), [0.9], {0: flat})]
    table = SearchTable.build(rows, np.zeros((1, 1)), TEN)
    found = scan(*scored(table))
    assert set(found.box_f1) == {0.0}
    assert set(found.score_threshold) == {Cutoffs().score_threshold}
    none = scan(*scored(replace(table, truths=np.zeros(1, np.int64))))
    assert all(map(math.isnan, none.box_f1))


def of(gt_known: list[float], box_f1: list[float]) -> Scan:
    cutoffs = np.arange(len(box_f1)) / 10
    return Scan(cutoffs, np.array(gt_known), np.array(box_f1), cutoffs, 0.5)


@pytest.mark.parametrize(
    ("metric", "gt_known", "box_f1", "best"),
    [
        ("box_f1", [0.9, 0.0, 0.0], [0.1, 0.4, 0.4], 1),
        ("gt_known", [0.1, 0.7, 0.7], [0.9, 0.2, 0.3], 2),
        ("gt_known", [0.7, 0.7, 0.1], [0.2, 0.2, 0.9], 0),
        ("gt_known", [0.1, 0.7, 0.7], [math.nan] * 3, 1),
        ("classification_map", [0.9, 0.0, 0.0], [0.1, 0.4, 0.3], 1),
        ("box_f1", [0.1, 0.7, 0.7], [math.nan, 0.0, math.nan], 1),
    ],
)
def test_of_equal_cutoffs_the_better_f1_and_then_the_lower_wins(
    metric: str, gt_known: list[float], box_f1: list[float], best: int
) -> None:
    assert of(gt_known, box_f1).best(metric) == best
