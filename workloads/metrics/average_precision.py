"""Average precision, so that equal scores never depend on the order of the images.

Cases with equal scores enter together: precision is read only between different scores. So the
value is a function of the multiset of cases, and merging in any order gives the same bits.

# N images, K classes
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.metrics.base import mean_over_classes


class AveragePrecision(NamedTuple):
    """Both of VOC's definitions.

    Attributes:
        area: VOC10+, the area under the precision envelope over recall.
        eleven_point: VOC07, the mean of the envelope at recall 0, 0.1 .. 1.
    """

    area: float
    eleven_point: float


def average_precision(
    scores: NDArray[np.floating], positive: NDArray[np.bool_]
) -> AveragePrecision:
    """Average precision of one class from (N,) scores and (N,) flags; NaN without positives."""
    total = int(positive.sum())
    if total == 0:
        return AveragePrecision(float("nan"), float("nan"))
    hits, envelope = _envelope(scores, positive)
    gained = np.diff(hits, prepend=0)
    area = float((gained * envelope).sum() / total)
    # Recall >= t / 10 in integers: 3 of 10 reach 0.3, which floating point may deny.
    reached = [np.flatnonzero(10 * hits >= t * total) for t in range(11)]
    points = [envelope[index[0]] for index in reached]
    return AveragePrecision(area, float(np.mean(points)))


def per_class_average_precision(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], skip: NDArray[np.bool_]
) -> dict[int, AveragePrecision]:
    """Average precision of the classes with any positive.

    Args:
        scores, positive, skip: (N, K); cases with `skip` (only difficult objects) do not count.
    """
    results = {}
    for k in range(scores.shape[1]):
        counts = ~skip[:, k]
        if positive[counts, k].any():
            results[k] = average_precision(scores[counts, k], positive[counts, k])
    return results


def mean_average_precision(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], difficult: NDArray
) -> float:
    """Mean over classes of the area average precision, all arguments (N, K); NaN without any."""
    skip = np.asarray(difficult).astype(np.bool_)
    results = per_class_average_precision(scores, positive.astype(np.bool_), skip)
    return mean_over_classes([r.area for r in results.values()])


def _envelope(
    scores: NDArray[np.floating], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Hits and best later precision at the end of each group of equal scores, best first."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(positive[order], dtype=np.int64)[ends]
    precision = hits / (ends + 1)
    return hits, np.maximum.accumulate(precision[::-1])[::-1]
