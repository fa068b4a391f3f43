"""Average precision, so that equal scores never depend on the order of the images.

Cases with equal scores enter together: precision is read only between different scores. So the
value is a function of the multiset of cases, and merging in any order gives the same bits.

# N cases, K classes, R layers: the data and its bootstrap replicates
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workloads.metrics.bootstrap import class_mean


class AveragePrecision(NamedTuple):
    """Both of VOC's definitions, one value for each layer.

    Attributes:
        area: (R,) VOC10+, the area under the precision envelope over recall.
        eleven_point: (R,) VOC07, the mean of the envelope at recall 0, 0.1 .. 1.
    """

    area: NDArray[np.float64]
    eleven_point: NDArray[np.float64]


def average_precision(
    scores: NDArray[np.floating],
    positive: NDArray[np.bool_],
    weights: NDArray[np.integer] | None = None,
    missed: NDArray[np.int64] | None = None,
    rows: NDArray[np.int64] | None = None,
) -> AveragePrecision:
    """Average precision of one class; NaN in layers without positives.

    Args:
        scores, positive: (N,) of each case.
        weights: (N, R) how often each case counts in each layer; once in one layer if None.
        missed: (R,) positives that no case stands for: boxes that nothing found.
        rows: (N,) the row of `weights` that belongs to each case, where several share one (the
            detections of an image) or some are left out; its own if None.
    """
    if weights is None:
        weights = np.ones((len(scores), 1), np.uint8)
    if missed is None:
        missed = np.zeros(weights.shape[1], np.int64)
    if rows is None:
        rows = np.arange(len(scores))
    order = np.argsort(-scores, kind="stable")
    area, eleven = _both(scores[order], positive[order], weights, rows[order], missed)
    return AveragePrecision(area, eleven)


def per_class_average_precision(
    scores: NDArray[np.floating],
    positive: NDArray[np.bool_],
    skip: NDArray[np.bool_],
    weights: NDArray[np.integer] | None = None,
    missed: NDArray[np.int64] | None = None,
) -> AveragePrecision:
    """(R, K) average precision of each class.

    Args:
        scores, positive, skip: (N, K); cases with `skip` (only difficult objects) do not count.
        weights: (N, R).
        missed: (R, K) positives of each class that no case stands for.
    """
    if weights is None:
        weights = np.ones((len(scores), 1), np.uint8)
    shape = (weights.shape[1], scores.shape[1])
    if missed is None:
        missed = np.zeros(shape, np.int64)
    area, eleven = np.full(shape, np.nan), np.full(shape, np.nan)
    for k in range(scores.shape[1]):
        rows = np.flatnonzero(~skip[:, k])
        hits = positive[rows, k]
        if hits.any() or missed[:, k].any():
            found = average_precision(scores[rows, k], hits, weights, missed[:, k], rows)
            area[:, k], eleven[:, k] = found
    return AveragePrecision(area, eleven)


def mean_average_precision(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], difficult: NDArray
) -> float:
    """Mean over classes of the area average precision, all arguments (N, K); NaN without any."""
    skip = np.asarray(difficult).astype(np.bool_)
    found = per_class_average_precision(scores, positive.astype(np.bool_), skip)
    return float(class_mean(found.area)[0])


def class_flags(labels: Sequence[tuple[int, ...]], num_classes: int) -> NDArray[np.bool_]:
    """(N, K) flags from the class indices of each image."""
    flags = np.zeros((len(labels), num_classes), np.bool_)
    for row, of_image in enumerate(labels):
        flags[row, list(of_image)] = True
    return flags


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _both(
    ranked: NDArray[np.floating],
    positive: NDArray[np.bool_],
    weights: NDArray[np.integer],
    rows: NDArray[np.int64],
    missed: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All layers at once: a walk down the ranking, then one back over the groups that matter.

    Those are groups of equal scores with a positive; behind any other precision is lower. Recall
    >= t / 10 is asked in integers: 3 of 10 reach 0.3, which floating point may deny.
    """
    count, layers = len(ranked), weights.shape[1]
    # 32 bits, so that the one loop over all cases and layers fits twice as many at a time.
    seen, hits = np.zeros(layers, np.int32), np.zeros(layers, np.int32)
    groups = 0
    seen_at = np.empty((positive.sum(), layers), np.int32)
    hits_at = np.empty((positive.sum() + 1, layers), np.int32)
    hits_at[0] = 0
    matters = False
    for i in range(count):
        row = rows[i]
        for r in range(layers):
            seen[r] += weights[row, r]
        if positive[i]:
            matters = True
            for r in range(layers):
                hits[r] += weights[row, r]
        if matters and (i + 1 == count or ranked[i + 1] != ranked[i]):
            seen_at[groups] = seen
            hits_at[groups + 1] = hits
            groups += 1
            matters = False
    total = hits + missed
    envelope, area, points = np.zeros(layers), np.zeros(layers), np.zeros(layers)
    tenth = np.full(layers, 10)  # the next point of recall to be read
    for g in range(groups - 1, -1, -1):
        for r in range(layers):
            reached = np.int64(hits_at[g + 1, r])
            # Above this group's hits nothing reaches the recall but what was seen already.
            while tenth[r] >= 0 and 10 * reached < tenth[r] * total[r]:
                points[r] += envelope[r]
                tenth[r] -= 1
            if seen_at[g, r] > 0:
                envelope[r] = max(envelope[r], reached / seen_at[g, r])
            area[r] += (reached - hits_at[g, r]) * envelope[r]
    for r in range(layers):
        points[r] += (tenth[r] + 1) * envelope[r]
        area[r] = area[r] / total[r] if total[r] > 0 else np.nan
        points[r] = points[r] / 11 if total[r] > 0 else np.nan
    return area, points
