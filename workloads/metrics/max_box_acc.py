"""MaxBoxAcc and MaxBoxAccV2: box accuracy at the best cut-off of the split.

# R layers (data and bootstrap replicates), K classes, D IoU thresholds, T cut-offs, G true boxes
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import best_iou_per_box
from workloads.localization.component_tree import Sweep, even_thresholds, sweep
from workloads.localization.contour_protocol import (
    ContourSweep,
    contour_sweep,
    protocol_boxes,
    protocol_map,
    quantized,
)
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import per_class, ratios
from workloads.metrics.centre import centre_iou, centre_map
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import given_pairs

DELTAS = (0.3, 0.5, 0.7)
CURVE_POINTS = 101


def hits_per_delta(
    iou: NDArray[np.float64], deltas: tuple[float, ...] = DELTAS
) -> NDArray[np.bool_]:
    """(D, T) whether the best IoU (T,) of each cut-off reaches each of the IoU thresholds."""
    return iou[None, :] >= np.array(deltas)[:, None]


class MaxBoxAccV2(Metric):
    """Mean over IoU .3, .5, .7 of the box accuracy at the cut-off that is best for each.

    For every image-class pair and cut-off the best IoU over the boxes of all components counts
    (Choe et al., V2). Two protocols find it in one pass over the map: `exact` keeps maps and
    boxes in the image's frame and in float; `wsolevaluation` goes through that toolkit's steps
    and equals it in every count (workloads.localization.contour_protocol).

    Per-class values are taken at the cut-offs that are best over all classes. The cut-offs are
    chosen on the measured split itself, as the protocol has it: use the value to compare maps,
    not to tell how boxes will be. The centre baseline goes through the same sweep.
    """

    name = "max_box_acc_v2"
    title = "MaxBoxAccV2"
    uses: ClassVar[tuple[str, ...]] = ("protocol", "frame", "thresholds", "blacklisted")
    columns: ClassVar[dict[str, type]] = {"best_iou": float}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        count, deltas = self.options.thresholds, len(self.deltas)
        self._pairs = self.zeros()
        # How the hits change from one cut-off to the next: few numbers to touch for each image.
        self._changes = self.zeros(deltas, count)
        self._class_pairs = np.zeros(num_classes, np.int64)
        self._class_hits = np.zeros((num_classes, deltas, count), np.int32)
        self._centre = np.zeros((deltas, count), np.int64)
        self._skipped = 0

    @property
    def deltas(self) -> tuple[float, ...]:
        """IoU from which a box counts as right; the value is the mean over them."""
        return DELTAS

    def update(self, image: Evaluated) -> Columns:
        """Count the pairs of one image at every cut-off."""
        pairs = given_pairs(image.prediction.truth, self.options.blacklisted)
        self._skipped += pairs.skipped
        columns: Columns = {}
        for label, boxes in pairs.boxes.items():
            iou, centred = self._measure(image, label, boxes)
            hits = hits_per_delta(iou, self.deltas)
            self._add(label, hits, self.weights(image))
            self._centre += hits_per_delta(centred, self.deltas)
            columns[label] = {"best_iou": float(iou.max())}
        return columns

    def result(self) -> MetricResult:
        """Mean over IoU thresholds; `details` holds each with its cut-off and curve."""
        hits = self._changes.cumsum(axis=2)
        best = hits[0].argmax(axis=1)  # the lowest of equally good cut-offs
        layers = _mean_ratio(hits.max(axis=2), self._pairs)
        at_best = self._class_hits[:, range(len(self.deltas)), best]
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(_mean_ratio(at_best, self._class_pairs)),
            centre=float(_mean_ratio(self._centre.max(axis=1)[None], self._pairs[:1])[0]),
            counted=int(self._pairs[0]),
            skipped=self._skipped,
            details=self._details(hits[0]),
        )

    def _iou(self, found: Sweep | ContourSweep, boxes: NDArray) -> NDArray[np.float64]:
        """(T,) IoU of what a sweep found with (G, 4) boxes."""
        return found.best_iou

    def _measure(
        self, image: Evaluated, label: int, boxes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(T,) IoU at each cut-off, of the class's map and of the centre baseline."""
        p, count, frame = image.prediction, self.options.thresholds, self.options.frame
        if self.options.protocol == "exact":
            found = image.once(
                ("sweep", label, count),
                lambda: sweep(image.map01(label), even_thresholds(count), boxes),
            )
            return self._iou(found, boxes), centre_iou(p.width, p.height, boxes, count)
        squashed = protocol_boxes(boxes, p.width, p.height, frame)
        contours = image.once(
            ("contours", label, count, frame),
            lambda: contour_sweep(
                quantized(protocol_map(p.map_of(label), frame)), squashed, _taus(count)
            ),
        )
        return self._iou(contours, squashed), best_iou_per_box(
            _centre_boxes(frame, count), squashed, "plus_one"
        )

    def _add(self, label: int, hits: NDArray[np.bool_], weights: NDArray[np.int64]) -> None:
        steps = np.diff(hits.astype(np.int64), prepend=0, axis=1)
        self._pairs += weights
        for delta, at in zip(*np.nonzero(steps), strict=True):
            self._changes[:, delta, at] += weights * steps[delta, at]
        self._class_pairs[label] += 1
        self._class_hits[label] += hits

    def _details(self, hits: NDArray[np.int64]) -> dict[str, object]:
        count, pairs = self.options.thresholds, self._pairs[0]
        shown = range(0, count, -(-count // CURVE_POINTS))
        curves = [ratios(row, pairs) for row in hits]
        centres = [ratios(row, pairs) for row in self._centre]
        return {
            "curve_cutoffs": [k / count for k in shown],
            "by_iou": {
                str(delta): {
                    "value": float(curve.max()),
                    "centre": float(centre.max()),
                    "best_cutoff": int(row.argmax()) / count,
                    "curve": curve[list(shown)].tolist(),
                }
                for delta, row, curve, centre in zip(
                    self.deltas, hits, curves, centres, strict=True
                )
            },
        }


class MaxBoxAcc(MaxBoxAccV2):
    """Box accuracy at IoU .5 and the best cut-off of the split, one box for each cut-off.

    The box is that of the largest component (Choe et al., V1): by pixels in the protocol
    `exact`, by the area of the contour's polygon in `wsolevaluation`.
    """

    name = "max_box_acc"
    title = "MaxBoxAcc"
    uses = ("iou", *MaxBoxAccV2.uses)

    @property
    def deltas(self) -> tuple[float, ...]:
        """IoU from which the box counts as right."""
        return (self.options.iou,)

    def _iou(self, found: Sweep | ContourSweep, boxes: NDArray) -> NDArray[np.float64]:
        if isinstance(found, ContourSweep):
            return found.largest_iou
        return best_iou_per_box(found.largest_xyxy, boxes)


def _mean_ratio(hits: NDArray[np.integer], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N, D) hits over D * (N,) counts; one division, so it is a function of the sums."""
    return ratios(hits.sum(axis=1), hits.shape[1] * counts)


def _taus(count: int) -> NDArray[np.float64]:
    """(T,) cut-offs as the toolkit makes them: `arange(0, 1, 1 / T)`."""
    taus: NDArray[np.float64] = np.arange(count, dtype=np.float64) * (1 / count)
    return taus


@lru_cache(maxsize=8)
def _centre_boxes(frame: int, count: int) -> NDArray[np.int64]:
    """(T, 4) box of the centre baseline; its map has one component and no hole."""
    levels = quantized(centre_map(frame, frame))
    return contour_sweep(levels, np.zeros((0, 4), np.int64), _taus(count)).largest_xyxy
