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

    One box for each image and class (Deselaers et al. 2012): that of the
    largest component above the model's cut-off, or what box rule "tight" or "regions" gives.
    Positive are the image-class pairs that GT-known localization judges, of which this is the
    mean over classes.

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
            layers=layers,
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
    """CorLoc if any box of the class may be right, that of every component at every scale.

    This is more lenient. It is how SPN's released code counts: there pixels
    at or above the mean are foreground, boxes of three scales are put together, near duplicates
    (IoU 0.7) and then boxes with a side under 50 pixels dropped, as the model's cut-offs
    `threshold="mean"`, `nms_iou=0.7` and `min_box_px=51` say. Its components are 4-connected and
    it ranks boxes by their mean raw response; here they are 8-connected and ranked by normalised
    heat.
    """

    name = "corloc_any"
    title = "CorLoc, any box"

    def _guesses(self, image: Evaluated, label: int) -> NDArray[np.float32]:
        return image.boxes(label).boxes_xyxy
