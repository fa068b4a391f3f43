"""The table of a search by hand: its grid, its counts, and what is left out of them."""

from __future__ import annotations

import numpy as np
import pytest
from prediction_cases import PLAIN, prediction_of, truth_of

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.options import MetricOptions
from workloads.predictions.store import Prediction
from workloads.search.table import SearchTable

OPTIONS = MetricOptions(thresholds=10, bootstrap=0)
BOX = (0, 0, 10, 10)


def build(*rows: Prediction, **cutoffs: object) -> SearchTable:
    return SearchTable.build(rows, np.zeros((2, 2)), OPTIONS, Cutoffs.model_validate(cutoffs))


@pytest.mark.parametrize(
    ("cutoff", "k"), [(-1, 0), (0, 0), (0.04, 0), (0.06, 1), (0.9, 9), (0.96, 9), (5, 9)]
)
def test_a_cutoff_is_rounded_into_the_grid(cutoff: float, k: int) -> None:
    table = build(prediction_of("a", truth_of((*BOX, 0)), [0.9, 0.1], {0: PLAIN}))
    assert table.thresholds == 10
    assert table.grid(cutoff) == k


def test_counts_by_hand() -> None:
    right = prediction_of("a", truth_of((*BOX, 0)), [0.9, 0.1], {0: PLAIN, 1: PLAIN})
    wrong = prediction_of("b", truth_of((12, 12, 20, 20, 1)), [0.2, 0.8], {1: PLAIN})
    table = build(right, wrong)
    assert list(zip(table.pair_image, table.pair_label, strict=True)) == [(0, 0), (0, 1), (1, 1)]
    assert table.true.tolist() == [[1] * 10, [0] * 10, [0] * 10]
    assert table.false.tolist() == [[0] * 10, [1] * 10, [1] * 10]
    assert (table.truths.tolist(), table.pairs.tolist()) == ([1, 1], [1, 1])
    assert table.gt_known_hits.tolist() == [[1] * 10, [0] * 10]
    assert table.positive.tolist() == [[True, False], [False, True]]


def test_a_difficult_object_is_neither_missed_nor_an_error() -> None:
    hard = truth_of((*BOX, 0, True))
    table = build(prediction_of("a", hard, [0.9, 0.1], {0: PLAIN}))
    assert (table.truths.tolist(), table.difficult.tolist()) == ([0, 0], [[True, False]])
    assert (table.true.sum(), table.false.sum()) == (0, 0)


def test_a_blacklisted_image_keeps_its_scores_and_no_boxes() -> None:
    barred = truth_of((*BOX, 0), blacklisted=True)
    table = build(prediction_of("a", barred, [0.9, 0.1], {0: PLAIN}))
    assert (table.truths.sum(), table.pairs.sum(), table.true.sum(), table.false.sum()) == (0,) * 4
    assert table.positive.tolist() == [[True, False]]


def test_images_without_a_map_are_no_table() -> None:
    bare = prediction_of("a", truth_of(), [0.9, 0.1], {0: PLAIN})
    with pytest.raises(ValueError, match="nothing to search on"):
        build()
    table = build(bare)
    assert (table.true.sum(), table.false.tolist()) == (0, [[1] * 10])
