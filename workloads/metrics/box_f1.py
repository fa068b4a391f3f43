"""F1 of the boxes that annotation would write."""

from __future__ import annotations

import numpy as np

from workloads.localization.detect import locate
from workloads.metrics.base import (
    Evaluated,
    Metric,
    MetricOptions,
    MetricResult,
    mean_over_classes,
    ratio,
    ratios,
)
from workloads.metrics.matching import FALSE_POSITIVE, IGNORED, OUTCOMES, TRUE_POSITIVE, match


class BoxF1(Metric):
    """F1 = 2 TP / (2 TP + FP + FN) of the model's boxes, class by class, over all boxes.

    A detection, best score first, takes the ground-truth box of its class with the highest IoU
    that is not taken, if that IoU is >= 0.5. If it finds none but a difficult one, it is ignored,
    as is a detection of a class that is in the image but has no boxes; else it is false.
    Difficult boxes that are not found are not missed. There is no centre baseline: it would
    need class scores.
    """

    name = "box_f1"
    title = "Box F1"

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._detections = np.zeros((OUTCOMES, num_classes), np.int64)
        self._truths = np.zeros(num_classes, np.int64)
        self._difficult = 0
        self._without_map = 0

    def update(self, image: Evaluated) -> None:
        """Detect and match in one image."""
        p = image.prediction
        truth = p.truth
        stored = p.map_labels.tolist()
        found = locate(image.scores, image.map01, p.width, p.height, image.cutoffs, stored)
        for label in np.unique(found.labels):
            boxes = found.boxes_xyxy[found.labels == label]  # still best first
            outcomes = match(boxes, truth, int(label), self.options.iou)
            np.add.at(self._detections[:, label], outcomes, 1)
        np.add.at(self._truths, truth.box_labels[truth.box_required], 1)
        self._difficult += int((~truth.box_required).sum())
        reached = np.flatnonzero(image.scores >= np.float32(image.cutoffs.score_threshold))
        self._without_map += len(set(reached.tolist()) - set(stored))

    def result(self) -> MetricResult:
        """F1 over all boxes; `details` holds precision, recall and the mean over classes."""
        false = self._detections[FALSE_POSITIVE]
        true = self._detections[TRUE_POSITIVE]
        ignored = self._detections[IGNORED]
        # 2 TP + FP + FN = TP + FP + ground truth
        per_class = ratios(2 * true, true + false + self._truths)
        return MetricResult(
            value=ratio(2 * true.sum(), true.sum() + false.sum() + self._truths.sum()),
            per_class=per_class,
            centre=None,
            counted=int(self._truths.sum()),
            skipped=self._difficult,
            details={
                "precision": ratio(true.sum(), true.sum() + false.sum()),
                "recall": ratio(true.sum(), self._truths.sum()),
                "mean_over_classes": mean_over_classes(list(per_class.values())),
                "true_positives": int(true.sum()),
                "false_positives": int(false.sum()),
                "false_negatives": int((self._truths - true).sum()),
                "ignored_detections": int(ignored.sum()),
                "classes_without_map": self._without_map,
                "iou": self.options.iou,
            },
        )
