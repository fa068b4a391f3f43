"""A cut-off for each class (Bency, section 3), from a `SearchTable`.

A class with few objects would take whatever cut-off happens to suit them. So the counts of the
whole split, scaled down to PRIOR_OBJECTS objects, are added to those of each class: the fewer
objects a class has, the nearer is its choice to that of all classes together.

# K classes, T cut-offs
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.localization.cooccurrence import rescore
from workloads.search.objective import objective
from workloads.search.table import SearchTable

# On made-up classes (3 to 100 objects each) this lost at most .9 points where all classes had the
# same best cut-off, and kept most of what there was to gain where they had not.
PRIOR_OBJECTS = 20


class _Counts(NamedTuple):
    """A metric of each class and cut-off as `hits / cases`; both add up over classes.

    Attributes:
        hits, cases: (K, T).
        objects: (K,) how much evidence there is for a class.
    """

    hits: NDArray[np.int64]
    cases: NDArray[np.int64]
    objects: NDArray[np.int64]


def with_class_cutoffs(
    table: SearchTable, trial: dict[str, float], metric: str, limits: tuple[float, float]
) -> tuple[dict[str, float], tuple[float, ...]]:
    """A trial with a cut-off for each class, and the cut-offs; unchanged and () if nothing is won.

    Args:
        trial: parameters and metrics, as `search.objective` gives them, with `alpha`.
        metric: name of the metric that has to gain. Cut-offs do not touch "classification_map":
            then box F1 has to.
        limits: least and highest cut-off.
    """
    judged = metric if metric == "gt_known" else "box_f1"
    found = best_class_cutoffs(
        table, trial["cutoff"], trial["alpha"], trial["score_threshold"], judged, limits
    )
    changed = {**trial, **objective(table, trial["cutoff"], trial["alpha"], found)}
    return (changed, found) if changed[judged] > trial[judged] else (trial, ())


def best_class_cutoffs(
    table: SearchTable,
    cutoff: float,
    alpha: float,
    score_threshold: float,
    metric: str = "box_f1",
    limits: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, ...]:
    """(K,) the cut-off k / T of each class that is best for that class's boxes.

    Of equally good ones that nearest to the common cut-off is taken, and of two as near the lower
    one. Classes without any object keep the common cut-off.

    Args:
        cutoff, alpha, score_threshold: the best parameters with one cut-off for all classes.
        metric: "gt_known" for the share of its pairs that are located; with any other name the
            F1 of its boxes.
        limits: least and highest cut-off.
    """
    counts = _gt_known(table) if metric == "gt_known" else _box_f1(table, alpha, score_threshold)
    weight = PRIOR_OBJECTS / max(1, int(counts.objects.sum()))
    hits, cases = (c + weight * c.sum(axis=0) for c in (counts.hits, counts.cases))
    share = np.divide(hits, cases, out=np.zeros_like(hits), where=cases > 0)
    common = table.grid(cutoff)
    allowed = np.arange(table.thresholds)[table.within(limits)]
    nearest_first = allowed[np.argsort(np.abs(allowed - common), kind="stable")]
    best = nearest_first[share[:, nearest_first].argmax(axis=1)]
    chosen = np.where(counts.objects > 0, best, common)
    return tuple((chosen / table.thresholds).tolist())


def _gt_known(table: SearchTable) -> _Counts:
    cases = np.repeat(table.pairs[:, None], table.thresholds, axis=1)
    return _Counts(table.gt_known_hits, cases, table.pairs)


def _box_f1(table: SearchTable, alpha: float, score_threshold: float) -> _Counts:
    """F1 = 2 TP / (detections + ground truth) at one score threshold."""
    rescored = rescore(table.scores, table.cooccurrence, alpha)
    reached = rescored[table.pair_image, table.pair_label] >= np.float32(score_threshold)
    true = np.zeros((len(table.truths), table.thresholds), np.int64)
    false = np.zeros_like(true)
    for label in range(len(true)):
        rows = reached & (table.pair_label == label)
        true[label] = table.true[rows].sum(axis=0, dtype=np.int64)
        false[label] = table.false[rows].sum(axis=0, dtype=np.int64)
    return _Counts(2 * true, true + false + table.truths[:, None], table.truths)
