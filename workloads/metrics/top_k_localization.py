"""ILSVRC's localization accuracy: the class and its box both have to be right.

# K classes, T cut-offs
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import best_iou_per_box
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import per_class, ratios
from workloads.metrics.centre import centre_iou
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import given_pairs


class Top1Localization(Metric):
    """Share of images whose best scored class is right and has a box with IoU >= 0.5.

    The box is that of the class's largest component above the model's cut-off, or what box rule
    "tight" or "regions" gives; it may meet any box of that class (ILSVRC's
    localization task). Right are the classes that GT-known localization judges; images without
    one (difficult objects only, no boxes, blacklisted) are skipped. An image counts for each of
    its right classes in `per_class`.

    A guessed class whose map was not stored is not in the image, so it is a miss that needs no
    box; `guesses_without_map` counts them.

    Centre baseline: the centred box for the same guessed classes, at the size that is best on
    these very images.
    """

    name = "top1_loc"
    title = "Top-1 localization"
    uses = ("iou", "box_widths", "blacklisted", "thresholds")
    columns: ClassVar[dict[str, type]] = {"iou": float, "hit": bool}
    boxes_of_rank: ClassVar[tuple[int, ...]] = (1,)
    """How many boxes the best scored class guesses, the second best, and so on."""

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._counted = self.zeros()
        self._correct = self.zeros()
        self._class_images = np.zeros(num_classes, np.int64)
        self._class_correct = np.zeros(num_classes, np.int64)
        self._centre = np.zeros(self.options.thresholds, np.int64)
        self._without_map = 0
        self._skipped = 0

    def update(self, image: Evaluated) -> Columns:
        """Count one image; for each right class the IoU of its guesses, 0 if it is not guessed."""
        boxes = given_pairs(image.prediction.truth, self.options.blacklisted).boxes
        if not boxes:
            self._skipped += 1
            return {}
        guesses = dict(zip(image.ranking(), self.boxes_of_rank, strict=False))
        self._without_map += len(set(guesses) - set(image.prediction.map_labels.tolist()))
        right = {label: count for label, count in guesses.items() if label in boxes}
        found = dict.fromkeys(boxes, 0.0)
        for label, count in right.items():
            guessed = image.largest_boxes(label, count)
            overlaps = best_iou_per_box(guessed, boxes[label], self.options.box_widths)
            found[label] = float(overlaps.max(initial=0.0))
        correct = max(found.values()) >= self.options.iou
        self._add(image, list(boxes), correct)
        self._centre += self._centred(image, {label: boxes[label] for label in right})
        return {label: {"iou": iou, "hit": iou >= self.options.iou} for label, iou in found.items()}

    def result(self) -> MetricResult:
        """Accuracy over images; `details` has the error, which is what ILSVRC reports."""
        layers = ratios(self._correct, self._counted)
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(ratios(self._class_correct, self._class_images)),
            centre=float(ratios(self._centre, self._counted[:1]).max()),
            counted=int(self._counted[0]),
            skipped=self._skipped,
            details={
                "error": float(1.0 - layers[0]),
                "centre_cutoff": int(self._centre.argmax()) / self.options.thresholds,
                "guesses_without_map": self._without_map,
            },
        )

    def _add(self, image: Evaluated, labels: list[int], correct: bool) -> None:
        weights = self.weights(image)
        self._counted += weights
        self._correct += weights * correct
        self._class_images[labels] += 1
        self._class_correct[labels] += correct

    def _centred(
        self, image: Evaluated, boxes: dict[int, NDArray[np.float32]]
    ) -> NDArray[np.bool_]:
        """(T,) whether the centred box of each size meets a box of a class that was guessed."""
        p, count, widths = image.prediction, self.options.thresholds, self.options.box_widths
        reached = np.zeros(count, np.bool_)
        for of_class in boxes.values():
            iou = centre_iou(p.width, p.height, of_class, count, widths)
            reached |= iou >= self.options.iou
        return reached


class Top5Localization(Top1Localization):
    """Share of images with a right box among those of the five best scored classes, one each."""

    name = "top5_loc"
    title = "Top-5 localization"
    boxes_of_rank: ClassVar[tuple[int, ...]] = (1, 1, 1, 1, 1)


class Top5StarLocalization(Top1Localization):
    """Share of images with a right box among SPG's five guesses ("Top-5*" in its tables).

    Two boxes of the best scored class, two of the second and one of the third. The paper does
    not say which two: here those of the two largest components. A map with one component gives
    one guess less; no other class takes its place.
    """

    name = "top5_star_loc"
    title = "Top-5* localization"
    boxes_of_rank: ClassVar[tuple[int, ...]] = (2, 2, 1)
