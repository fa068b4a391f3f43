"""GT-known localization: the box of a given class at the model's cut-off."""

from __future__ import annotations

import numpy as np

from workloads.localization.boxes import best_iou_per_box, boxes_at
from workloads.metrics.base import (
    Evaluated,
    Metric,
    MetricOptions,
    MetricResult,
    mean_over_classes,
    ratio,
    ratios,
)
from workloads.metrics.centre import centre_iou
from workloads.metrics.pairs import given_pairs


class GtKnown(Metric):
    """Share of image-class pairs whose box has IoU >= 0.5 with any box of the class.

    The box is that of the largest component of the class's map above the model's cut-off,
    whatever box rule the model annotates with; no foreground is a miss. IoU of half-open boxes,
    which is ILSVRC's "widths + 1" on inclusive corners (METHODS section 7). The value is the
    mean over pairs; the mean over classes stands in the details. Pairs whose objects are all
    difficult, or have no boxes, are skipped and counted as such.

    Centre baseline: the centred box at the size that is best on these very images, which favours
    the baseline.
    """

    name = "gt_known"
    title = "GT-known localization"

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._pairs = np.zeros(num_classes, np.int64)
        self._hits = np.zeros(num_classes, np.int64)
        self._centre = np.zeros(self.options.thresholds, np.int64)
        self._skipped = 0

    def update(self, image: Evaluated) -> None:
        """Count the pairs of one image."""
        p = image.prediction
        pairs = given_pairs(p.truth)
        self._skipped += pairs.skipped
        for label, boxes in pairs.boxes.items():
            found = boxes_at(image.map01(label), image.cutoffs.cutoff, "largest").boxes_xyxy
            iou = best_iou_per_box(found, boxes).max(initial=0.0)
            self._pairs[label] += 1
            self._hits[label] += iou >= self.options.iou
            centred = centre_iou(p.width, p.height, boxes, self.options.thresholds)
            self._centre += centred >= self.options.iou

    def result(self) -> MetricResult:
        """Accuracy over pairs."""
        counted = int(self._pairs.sum())
        per_class = ratios(self._hits, self._pairs)
        return MetricResult(
            value=ratio(self._hits.sum(), counted),
            per_class=per_class,
            centre=ratio(self._centre.max(), counted),
            counted=counted,
            skipped=self._skipped,
            details={
                "mean_over_classes": mean_over_classes(list(per_class.values())),
                "centre_cutoff": int(self._centre.argmax()) / self.options.thresholds,
                "iou": self.options.iou,
            },
        )
