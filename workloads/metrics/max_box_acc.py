"""MaxBoxAccV2: boxes of every component at the best cut-off of the split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.localization.component_tree import best_iou, even_thresholds
from workloads.metrics.base import (
    Evaluated,
    Metric,
    MetricOptions,
    MetricResult,
    ratio,
)
from workloads.metrics.centre import centre_iou
from workloads.metrics.pairs import given_pairs

DELTAS = (0.3, 0.5, 0.7)
CURVE_POINTS = 101


def hits_per_delta(iou: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(3, T) whether the best IoU (T,) of each cut-off reaches each of DELTAS."""
    return iou[None, :] >= np.array(DELTAS)[:, None]


class MaxBoxAccV2(Metric):
    """Mean over IoU .3, .5, .7 of the box accuracy at the cut-off that is best for each.

    For every image-class pair and cut-off the best IoU over the boxes of all components counts
    (Choe et al., V2), found for all cut-offs in one pass. It is the exact form of the protocol:
    maps and boxes stay in the image's frame and in float. `wsolevaluation` resizes bicubically
    to the input size, truncates the map to uint8 and the boxes to int, and counts the contours
    of holes as boxes (METHODS section 7), so its numbers can differ a little.

    Per-class values are taken at the cut-offs that are best over all classes. The cut-offs are
    chosen on the measured split itself, as the protocol has it: use the value to compare maps,
    not to tell how boxes will be. The centre baseline goes through the same sweep.
    """

    name = "max_box_acc_v2"
    title = "MaxBoxAccV2"

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        count = self.options.thresholds
        self.thresholds = even_thresholds(count)
        self._pairs = np.zeros(num_classes, np.int64)
        self._hits = np.zeros((num_classes, len(DELTAS), count), np.int64)
        self._centre = np.zeros((len(DELTAS), count), np.int64)
        self._skipped = 0

    def update(self, image: Evaluated) -> None:
        """Count the pairs of one image at every cut-off."""
        p = image.prediction
        pairs = given_pairs(p.truth)
        self._skipped += pairs.skipped
        for label, boxes in pairs.boxes.items():
            self._pairs[label] += 1
            iou = best_iou(image.map01(label), self.thresholds, boxes)
            self._hits[label] += hits_per_delta(iou)
            centred = centre_iou(p.width, p.height, boxes, self.options.thresholds)
            self._centre += hits_per_delta(centred)

    def result(self) -> MetricResult:
        """Mean over IoU thresholds; `details` holds each with its cut-off and curve."""
        counted = int(self._pairs.sum())
        hits = self._hits.sum(axis=0)
        best = hits.argmax(axis=1)  # the lowest of equally good cut-offs
        return MetricResult(
            value=_mean_ratio(hits.max(axis=1), counted),
            per_class={
                int(k): _mean_ratio(self._hits[k, range(len(DELTAS)), best], self._pairs[k])
                for k in np.flatnonzero(self._pairs)
            },
            centre=_mean_ratio(self._centre.max(axis=1), counted),
            counted=counted,
            skipped=self._skipped,
            details=self._details(hits, counted),
        )

    def _details(self, hits: NDArray[np.int64], counted: int) -> dict[str, object]:
        count = self.options.thresholds
        shown = range(0, count, -(-count // CURVE_POINTS))
        return {
            "thresholds": count,
            "curve_cutoffs": [k / count for k in shown],
            "by_iou": {
                str(delta): {
                    "value": ratio(row.max(), counted),
                    "centre": ratio(centre.max(), counted),
                    "best_cutoff": int(row.argmax()) / count,
                    "curve": [ratio(row[k], counted) for k in shown],
                }
                for delta, row, centre in zip(DELTAS, hits, self._centre, strict=True)
            },
        }


def _mean_ratio(hits: NDArray[np.int64], count: int) -> float:
    """Mean over DELTAS of hits / count; one division, so it is a function of the sum."""
    return ratio(hits.sum(), len(DELTAS) * count)
