"""The metrics of one co-occurrence weight at many cut-offs, in one pass over the sorted scores.

# N images, K classes, P stored maps (image-class pairs), C cut-offs
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.average_precision import mean_average_precision
from workloads.metrics.bootstrap import ratio, ratios
from workloads.search.table import SearchTable


class Scan(NamedTuple):
    """Metrics by cut-off; each is what `search.objective` gives for it.

    Attributes:
        cutoffs: (C,) shares k / T.
        gt_known, box_f1: (C,); NaN without any case.
        score_threshold: (C,) the highest that gives the best F1.
        classification_map: of the scores alone; NaN without any case.
    """

    cutoffs: NDArray[np.float64]
    gt_known: NDArray[np.float64]
    box_f1: NDArray[np.float64]
    score_threshold: NDArray[np.float64]
    classification_map: float

    def at(self, index: int) -> dict[str, float]:
        """Metrics, score threshold and cut-off of one of the C."""
        by_cutoff = ("gt_known", "box_f1", "score_threshold")
        return {
            "cutoff": float(self.cutoffs[index]),
            "classification_map": self.classification_map,
            **{name: float(getattr(self, name)[index]) for name in by_cutoff},
        }

    def best(self, metric: str) -> int:
        """The cut-off that is best by a metric; of equally good ones the best by F1, the lowest.

        So F1 alone chooses it for "classification_map", which no cut-off touches.
        """
        f1 = _ranked(self.box_f1)
        if metric == "classification_map":
            return int(np.argmax(f1))
        values = _ranked(getattr(self, metric))
        equal = np.flatnonzero(values == values.max())
        return int(equal[np.argmax(f1[equal])])


def scan(table: SearchTable, rescored: NDArray[np.float32], columns: slice = slice(None)) -> Scan:
    """Every cut-off at once, for scores that are rescored already.

    Args:
        rescored: (N, K) class scores.
        columns: of the T cut-offs, the C to look at; without steps.
    """
    f1, thresholds = _best_f1(table, rescored[table.pair_image, table.pair_label], columns)
    return Scan(
        cutoffs=np.arange(table.thresholds)[columns] / table.thresholds,
        gt_known=ratios(table.gt_known_hits[:, columns].sum(axis=0), table.pairs.sum()),
        box_f1=f1,
        score_threshold=thresholds,
        classification_map=mean_average_precision(rescored, table.positive, table.difficult),
    )


def _best_f1(
    table: SearchTable, scores: NDArray[np.float32], columns: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(C,) the best F1 over all score thresholds, and (C,) the highest threshold that has it.

    Args:
        scores: (P,) score of each pair, which its boxes pass a threshold by.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, truths = scores[order], int(table.truths.sum())
    kind = np.result_type(table.true, table.false)  # one type for both: compiled once
    true, false = (counts.astype(kind, copy=False) for counts in (table.true, table.false))
    first, stop, _ = columns.indices(table.thresholds)
    f1, rank = _walk(true, false, first, stop, order, ranked, truths)
    some = rank >= 0
    thresholds = np.where(some, ranked[rank], Cutoffs().score_threshold)
    return np.where(some, f1, ratio(0, truths)), thresholds


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _walk(
    true: NDArray[np.unsignedinteger],
    false: NDArray[np.unsignedinteger],
    first: int,
    stop: int,
    order: NDArray[np.int64],
    ranked: NDArray[np.float32],
    truths: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(C,) the best F1 and (C,) the first rank at which it is reached, -1 without any box.

    One walk down the ranking, all cut-offs at each step; memory does not grow with the pairs.
    """
    pairs, cutoffs = len(order), stop - first
    hits, boxes = np.zeros(cutoffs, np.int64), np.zeros(cutoffs, np.int64)
    best, rank = np.full(cutoffs, -1.0), np.full(cutoffs, -1)
    for i in range(pairs):
        pair = order[i]
        right, wrong = true[pair, first:stop], false[pair, first:stop]
        for c in range(cutoffs):
            hits[c] += np.int64(right[c])
            boxes[c] += np.int64(right[c]) + np.int64(wrong[c])
        # Equal scores pass a threshold together.
        if i + 1 == pairs or ranked[i + 1] != ranked[i]:
            for c in range(cutoffs):
                # 2 TP + FP + FN = boxes + ground truth; no threshold is above the first box.
                f1 = 2 * hits[c] / max(1, boxes[c] + truths) if boxes[c] else -1.0
                if f1 > best[c]:
                    best[c] = f1
                    rank[c] = i
    return best, rank


def _ranked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values for a maximum, in which those without a case lose."""
    return np.nan_to_num(values, nan=-np.inf)
