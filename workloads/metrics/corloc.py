"""CorLoc: on how many images of a class is its box right, mean over classes.

# K classes, T cut-offs
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import best_iou_per_box
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import class_mean, per_class, ratios
from workloads.metrics.centre import centre_iou
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import given_pairs


class Corloc(Metric):
    """Mean over classes of the share of positive images whose box has IoU >= 0.5 with an instance.

    One box for each image and class: that of the largest component above the model's cut-off
    (Deselaers et al. 2012, METHODS section 7). Positive are the image-class pairs that GT-known
    localization judges, of which this is the mean over classes.

    Centre baseline: the centred box at the size whose mean over classes is best on these very
    images.
    """

    name = "corloc"
    title = "CorLoc"
    uses = ("iou", "box_widths", "blacklisted", "thresholds")
    columns: ClassVar[dict[str, type]] = {"hit": bool}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._pairs = self.zeros(num_classes)
        self._hits = self.zeros(num_classes)
        self._centre = np.zeros((self.options.thresholds, num_classes), np.int32)
        self._skipped = 0

    def update(self, image: Evaluated) -> Columns:
        """Count the pairs of one image; whether each class is located."""
        p, widths = image.prediction, self.options.box_widths
        pairs = given_pairs(p.truth, self.options.blacklisted)
        weights = self.weights(image)
        self._skipped += pairs.skipped
        columns: Columns = {}
        for label, boxes in pairs.boxes.items():
            overlaps = best_iou_per_box(self._guesses(image, label), boxes, widths)
            hit = bool((overlaps >= self.options.iou).any())
            self._pairs[:, label] += weights
            self._hits[:, label] += weights * hit
            centred = centre_iou(p.width, p.height, boxes, self.options.thresholds, widths)
            self._centre[:, label] += centred >= self.options.iou
            columns[label] = {"hit": hit}
        return columns

    def result(self) -> MetricResult:
        """Mean over classes; `details` has the mean over pairs."""
        of_classes = ratios(self._hits, self._pairs)
        layers = class_mean(of_classes)
        centre = class_mean(ratios(self._centre, self._pairs[:1]))
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            per_class=per_class(of_classes[0]),
            centre=float(centre.max()),
            counted=int(self._pairs[0].sum()),
            skipped=self._skipped,
            details={
                "mean_over_pairs": float(ratios(self._hits[:1].sum(1), self._pairs[:1].sum(1))[0]),
                "centre_cutoff": int(centre.argmax()) / self.options.thresholds,
            },
        )

    def _guesses(self, image: Evaluated, label: int) -> NDArray[np.float32]:
        return image.largest_boxes(label)


class CorlocAny(Corloc):
    """CorLoc if the box of any component may be right.

    This is more lenient: SPN's released code takes a box of every component at three scales of
    the image and counts a hit if one matches (METHODS section 1); it drops boxes under 50 pixels
    and near duplicates, which this does not.
    """

    name = "corloc_any"
    title = "CorLoc, any box"

    def _guesses(self, image: Evaluated, label: int) -> NDArray[np.float32]:
        return image.boxes(label).boxes_xyxy
