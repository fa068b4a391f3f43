"""GT-known localization: the box of a given class at the model's cut-off."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from workloads.localization.boxes import best_iou_per_box
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import class_mean, per_class, ratios
from workloads.metrics.centre import centre_iou
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import given_pairs

HISTOGRAM_BINS = 20


class GtKnown(Metric):
    """Share of image-class pairs whose box has IoU >= 0.5 with any box of the class.

    The box is that of the largest component of the class's map above the model's cut-off, with
    box rule "all" too; rules "tight" and "regions" give their own. No foreground is a miss. The
    value is the mean over pairs; the mean over classes stands in the details, as does the
    histogram of IoU. Pairs whose objects are all difficult, or have no boxes, are skipped and
    counted as such.

    Centre baseline: the centred box at the size that is best on these very images, which favours
    the baseline.
    """

    name = "gt_known"
    title = "GT-known localization"
    uses = ("iou", "box_widths", "blacklisted", "thresholds")
    columns: ClassVar[dict[str, type]] = {"iou": float, "hit": bool}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._pairs = self.zeros(num_classes)
        self._hits = self.zeros(num_classes)
        self._centre = np.zeros(self.options.thresholds, np.int64)
        self._histogram = np.zeros(HISTOGRAM_BINS, np.int64)
        self._skipped = 0

    def update(self, image: Evaluated) -> Columns:
        """Count the pairs of one image; the IoU of each class's box."""
        p, widths = image.prediction, self.options.box_widths
        pairs = given_pairs(p.truth, self.options.blacklisted)
        weights = self.weights(image)
        self._skipped += pairs.skipped
        columns: Columns = {}
        for label, boxes in pairs.boxes.items():
            found = image.largest_boxes(label)
            iou = float(best_iou_per_box(found, boxes, widths).max(initial=0.0))
            hit = iou >= self.options.iou
            self._pairs[:, label] += weights
            self._hits[:, label] += weights * hit
            self._histogram[min(int(iou * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
            centred = centre_iou(p.width, p.height, boxes, self.options.thresholds, widths)
            self._centre += centred >= self.options.iou
            columns[label] = {"iou": iou, "hit": hit}
        return columns

    def result(self) -> MetricResult:
        """Accuracy over pairs."""
        counted = int(self._pairs[0].sum())
        layers = ratios(self._hits.sum(axis=1), self._pairs.sum(axis=1))
        of_classes = ratios(self._hits, self._pairs)
        centre = ratios(self._centre, np.int64(counted))
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(of_classes[0]),
            centre=float(centre.max()),
            counted=counted,
            skipped=self._skipped,
            details={
                "mean_over_classes": float(class_mean(of_classes)[0]),
                "centre_cutoff": int(self._centre.argmax()) / self.options.thresholds,
                "iou_histogram": self._histogram.tolist(),
            },
        )
