"""Random search of cut-offs and co-occurrence weight on stored maps, in this process.

A trial is a few sums over a `SearchTable`, so thousands take seconds and need no cluster.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.localization.cutoffs import Cutoffs
from workloads.search.class_cutoffs import with_class_cutoffs
from workloads.search.objective import cutoff_curve, objective
from workloads.search.options import SearchMetric, SearchOptions
from workloads.search.table import SearchTable

MEASURED = ("box_f1", "gt_known", "classification_map")
SCORES_ALONE: SearchMetric = "classification_map"
"""The one of them that needs no boxes."""
Trial = dict[str, float]
"""`cutoff`, `alpha`, `score_threshold` and every metric of `MEASURED`."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best parameters and every trial.

    Attributes:
        best: the first of the best trials.
        class_cutoffs: a cut-off for each class instead; empty where that was not asked for or
            gained nothing.
        trials: in order.
        curve: box accuracy at every cut-off, from one pass.
        metric: what was maximised; another one than was asked for where there are no boxes.
    """

    best: Trial
    class_cutoffs: tuple[float, ...]
    trials: tuple[Trial, ...]
    curve: dict[str, Any]
    metric: SearchMetric

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Metrics for which there was no case."""
        return tuple(name for name in MEASURED if math.isnan(self.best[name]))

    @property
    def parameters(self) -> dict[str, Any]:
        """The best parameters, by their names in `Cutoffs`."""
        searched = ("cutoff", "alpha", "score_threshold")
        return {**{k: self.best[k] for k in searched}, "class_cutoffs": self.class_cutoffs}


def search(table: SearchTable, options: SearchOptions, kept: Cutoffs | None = None) -> Found:
    """Random trials, started from the best cut-off of the one-pass curve without rescoring.

    The same seed gives the same trials, and ties go to the earlier trial. Without any box only
    the co-occurrence weight is searched, for the scores' sake.

    Args:
        kept: the model's cut-offs, which stay as they are where no box can judge others.
    """
    curve: dict[str, Any] = cutoff_curve(table)
    if not table.has_boxes:
        return _without_boxes(table, options, kept or Cutoffs(), curve)
    trials = tuple(
        {"alpha": alpha, **objective(table, cutoff, alpha)}
        for cutoff, alpha in _candidates(curve["best_cutoff"], options)
    )
    best = max(trials, key=lambda trial: trial[options.metric])  # the first of equals
    of_class: tuple[float, ...] = ()
    if options.per_class:
        best, of_class = with_class_cutoffs(table, best, options.metric, options.cutoff_range)
    return Found(best, of_class, trials, curve, options.metric)


def _without_boxes(
    table: SearchTable, options: SearchOptions, kept: Cutoffs, curve: dict[str, Any]
) -> Found:
    fixed = {"cutoff": kept.cutoff, "score_threshold": kept.score_threshold}
    trials = tuple(
        {"alpha": alpha, **objective(table, kept.cutoff, alpha), **fixed}
        for _, alpha in _candidates(kept.cutoff, options)
    )
    best = max(trials, key=lambda trial: trial[SCORES_ALONE])
    return Found(best, kept.class_cutoffs, trials, curve, SCORES_ALONE)


def _candidates(first_cutoff: float, options: SearchOptions) -> Iterator[tuple[float, float]]:
    """Pairs of cut-off and co-occurrence weight."""
    rng = np.random.default_rng(options.seed)
    low, high = options.cutoff_range
    yield min(max(first_cutoff, low), high), 0.0
    for _ in range(options.trials - 1):
        yield rng.uniform(low, high), rng.uniform(*options.alpha_range)
