"""Cut-offs and the co-occurrence weight as functions of stored maps: no network, no maps twice.

A trial of the search is a few sums over a `SearchTable`.

# N images, K classes, P stored maps (image-class pairs), T cut-offs
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.localization.cooccurrence import rescore
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.average_precision import mean_average_precision
from workloads.metrics.bootstrap import ratio
from workloads.metrics.max_box_acc import DELTAS
from workloads.search.table import SearchTable


def objective(
    table: SearchTable, cutoff: float, alpha: float, class_cutoffs: Sequence[float] = ()
) -> dict[str, float]:
    """The metrics of one choice of parameters, as evaluation would find them.

    Args:
        cutoff: rounded to the nearest k / T, the grid on which boxes are known.
        alpha: weight of the co-occurrence rescoring.
        class_cutoffs: (K,) instead of `cutoff`, or empty; rounded as well.

    Returns:
        `gt_known` and `classification_map`; `box_f1`, the best over all score thresholds, with
        its `score_threshold` (the highest of equally good ones); and `cutoff`, the rounded one.
        A metric without any case is NaN.
    """
    k = table.grid(cutoff)
    classes = np.arange(table.scores.shape[1])
    of_class = np.array([table.grid(c) for c in class_cutoffs] or [k] * len(classes))
    rescored = rescore(table.scores, table.cooccurrence, alpha)
    chosen = np.arange(len(table.pair_label)), of_class[table.pair_label]
    f1, threshold = _best_f1(
        rescored[table.pair_image, table.pair_label],
        table.true[chosen].astype(np.int64),
        table.false[chosen].astype(np.int64),
        int(table.truths.sum()),
    )
    return {
        "gt_known": ratio(table.gt_known_hits[classes, of_class].sum(), table.pairs.sum()),
        "classification_map": mean_average_precision(rescored, table.positive, table.difficult),
        "box_f1": f1,
        "score_threshold": threshold,
        "cutoff": k / table.thresholds,
    }


def cutoff_curve(table: SearchTable) -> dict[str, object]:
    """Box accuracy at every cut-off, plain JSON.

    Returns:
        `cutoffs` (T); `gt_known` (T) with the one box; `max_box_acc` IoU -> (T) with every
        component of the main map and `max_box_acc_v2` the value at the best cut-off for each
        IoU; and `best_cutoff`, the lowest with the best `gt_known`.
    """
    hits, pairs = table.gt_known_hits.sum(axis=0), table.pairs.sum()
    return {
        "cutoffs": [k / table.thresholds for k in range(table.thresholds)],
        "gt_known": [ratio(count, pairs) for count in hits],
        "max_box_acc": {
            str(delta): [ratio(count, pairs) for count in row]
            for delta, row in zip(DELTAS, table.box_acc_hits, strict=True)
        },
        "max_box_acc_v2": ratio(table.box_acc_hits.max(axis=1).sum(), len(DELTAS) * pairs),
        "best_cutoff": int(np.argmax(hits)) / table.thresholds,
    }


def _best_f1(
    scores: NDArray[np.float32], true: NDArray[np.int64], false: NDArray[np.int64], truths: int
) -> tuple[float, float]:
    """The best F1 over all score thresholds and its threshold, in one pass.

    Args:
        scores: (P,) score of each pair, which its boxes pass a threshold by.
        true, false: (P,) its boxes.
        truths: number of ground-truth boxes to be found.
    """
    counts = true + false > 0
    if not counts.any():
        return ratio(0, truths), Cutoffs().score_threshold
    order = np.argsort(-scores[counts], kind="stable")
    ranked = scores[counts][order]
    # Equal scores pass a threshold together.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits, misses = (np.cumsum(boxes[counts][order])[ends] for boxes in (true, false))
    f1 = 2 * hits / (hits + misses + truths)  # 2 TP + FP + FN = detections + ground truth
    best = int(np.argmax(f1))
    return float(f1[best]), float(ranked[ends[best]])
