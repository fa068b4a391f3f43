"""Search of the cut-off and the co-occurrence weight on stored maps: a grid, valued exactly.

For each of some weights every cut-off is known from one pass over a `SearchTable`, so the best of
all of them together is found, not estimated; it takes seconds and needs no cluster.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from workloads.localization.cooccurrence import context_of, with_context
from workloads.localization.cutoffs import Cutoffs
from workloads.search.class_cutoffs import with_class_cutoffs
from workloads.search.cutoff_scan import scan
from workloads.search.objective import cutoff_curve
from workloads.search.options import SearchMetric, SearchOptions
from workloads.search.table import SearchTable

MEASURED = ("box_f1", "gt_known", "classification_map")
SCORES_ALONE: SearchMetric = "classification_map"
"""The one of them that needs no boxes."""
Trial = dict[str, float]
"""`cutoff`, `alpha`, `score_threshold` and every metric of `MEASURED`."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best parameters, and those of each co-occurrence weight.

    Attributes:
        best: the best of all; the cut-offs of classes are those of `class_cutoffs`.
        class_cutoffs: a cut-off for each class instead; empty where that was not asked for or
            gained nothing.
        trials: one for each co-occurrence weight, ascending, at its best cut-off.
        curve: box accuracy at every cut-off, from one pass.
        metric: what was maximised; another one than was asked for where there are no boxes.
        rules: the further cut-offs that belong to it; empty where none were searched.
        by_rules: of each combination its values and the metrics of its best trial, in order.
    """

    best: Trial
    class_cutoffs: tuple[float, ...]
    trials: tuple[Trial, ...]
    curve: dict[str, Any]
    metric: SearchMetric
    rules: Mapping[str, JsonValue] = field(default_factory=dict)
    by_rules: tuple[dict[str, Any], ...] = ()

    @property
    def value(self) -> float:
        """Value of the metric; minus infinity without a case."""
        value = self.best[self.metric]
        return -math.inf if math.isnan(value) else value

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Metrics for which there was no case."""
        return tuple(name for name in MEASURED if math.isnan(self.best[name]))

    @property
    def parameters(self) -> dict[str, Any]:
        """The best parameters, by their names in `Cutoffs`."""
        searched = ("cutoff", "alpha", "score_threshold")
        found = {k: self.best[k] for k in searched}
        return {**found, "class_cutoffs": self.class_cutoffs, **self.rules}


def search(table: SearchTable, options: SearchOptions, kept: Cutoffs | None = None) -> Found:
    """The best of all co-occurrence weights and cut-offs together.

    Ties go to the lower weight and, of one weight, to the cut-off with the better F1 and then to
    the lower one. Without any box only the weight is searched, for the scores' sake. Where no
    two classes come together no weight changes a score, so 0 alone is tried.

    Args:
        kept: the model's cut-offs, which stay as they are where no box can judge others.
    """
    curve: dict[str, Any] = cutoff_curve(table)
    if not table.has_boxes:
        return _without_boxes(table, options, kept or Cutoffs(), curve)
    columns = table.within(options.cutoff_range)
    trials = []
    for alpha, rescored in _rescored(table, options):
        found = scan(table, rescored, columns)
        trials.append({"alpha": alpha, **found.at(found.best(options.metric))})
    best = _best(trials, options.metric)
    of_class: tuple[float, ...] = ()
    if options.per_class:
        best, of_class = with_class_cutoffs(table, best, options.metric, options.cutoff_range)
    return Found(best, of_class, tuple(trials), curve, options.metric)


def _without_boxes(
    table: SearchTable, options: SearchOptions, kept: Cutoffs, curve: dict[str, Any]
) -> Found:
    k = table.grid(kept.cutoff)
    fixed = {"cutoff": kept.cutoff, "score_threshold": kept.score_threshold}
    trials = [
        {"alpha": alpha, **scan(table, rescored, slice(k, k + 1)).at(0), **fixed}
        for alpha, rescored in _rescored(table, options)
    ]
    best = _best(trials, SCORES_ALONE)
    return Found(best, kept.class_cutoffs, tuple(trials), curve, SCORES_ALONE)


def _rescored(
    table: SearchTable, options: SearchOptions
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Co-occurrence weights, ascending, with the (N, K) scores that each gives."""
    yield 0.0, table.scores
    others = [alpha for alpha in options.alpha_values if alpha > 0]
    context = context_of(table.scores, table.cooccurrence) if others else np.zeros(0)
    if context.any():
        for alpha in others:
            yield alpha, with_context(table.scores, context, alpha)


def _best(trials: Sequence[Trial], metric: str) -> Trial:
    """The first of the best; a value without any case is the worst."""
    values = [trial[metric] for trial in trials]
    return trials[int(np.argmax(np.nan_to_num(values, nan=-np.inf)))]
