"""F1 of the boxes that annotation would write."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import class_mean, per_class, ratios
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.matching import FALSE_POSITIVE, IGNORED, OUTCOMES, TRUE_POSITIVE, match
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import left_out


class BoxF1(Metric):
    """F1 = 2 TP / (2 TP + FP + FN) of the model's boxes, class by class, over all boxes.

    A detection, best score first, takes the ground-truth box of its class with the highest IoU
    that is not taken, if that IoU is >= 0.5. If it finds none but a difficult one or a crowd, it
    is ignored, as is a detection of a class that is in the image but has no boxes; else it is
    false. Difficult boxes that are not found are not missed. Blacklisted images are skipped.
    There is no centre baseline: it would need class scores.
    """

    name = "box_f1"
    title = "Box F1"
    uses = ("iou", "blacklisted")
    columns: ClassVar[dict[str, type]] = {"true": int, "false": int, "missed": int}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._detections = self.zeros(OUTCOMES, num_classes)
        self._truths = self.zeros(num_classes)
        self._not_required = 0
        self._without_map = 0

    def update(self, image: Evaluated) -> Columns:
        """Detect and match in one image; true and false boxes, and missed ones, by class."""
        p, weights = image.prediction, self.weights(image)
        truth = p.truth
        if left_out(truth, self.options.blacklisted):
            self._not_required += len(truth.box_labels)
            return {}
        found = image.detections(image.cutoffs.score_threshold)
        required = np.bincount(truth.box_labels[truth.box_required], minlength=self.num_classes)
        self._truths += weights[:, None] * required
        self._not_required += int((~truth.box_required).sum())
        reached = np.flatnonzero(image.scores >= np.float32(image.cutoffs.score_threshold))
        self._without_map += len(set(reached.tolist()) - set(p.map_labels.tolist()))
        columns: Columns = {
            int(k): {"true": 0, "false": 0, "missed": int(required[k])}
            for k in np.flatnonzero(required)
        }
        for label in np.unique(found.labels).tolist():
            boxes = found.boxes_xyxy[found.labels == label]  # still best first
            outcomes = match(boxes, truth, label, self.options.iou)
            counts = np.bincount(outcomes, minlength=OUTCOMES)
            self._detections[:, :, label] += weights[:, None] * counts
            true, false = int(counts[TRUE_POSITIVE]), int(counts[FALSE_POSITIVE])
            columns[label] = {"true": true, "false": false, "missed": int(required[label]) - true}
        return columns

    def result(self) -> MetricResult:
        """F1 over all boxes; `details` holds precision, recall and the mean over classes."""
        true, false = self._detections[:, TRUE_POSITIVE], self._detections[:, FALSE_POSITIVE]
        # 2 TP + FP + FN = TP + FP + ground truth
        of_classes = ratios(2 * true, true + false + self._truths)
        hits, guesses, truths = true.sum(axis=1), (true + false).sum(axis=1), self._truths.sum(1)
        layers = ratios(2 * hits, guesses + truths)
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(of_classes[0]),
            centre=None,
            counted=int(truths[0]),
            skipped=self._not_required,
            details={
                "precision": float(ratios(hits, guesses)[0]),
                "recall": float(ratios(hits, truths)[0]),
                "mean_over_classes": float(class_mean(of_classes)[0]),
                "true_positives": int(hits[0]),
                "false_positives": int(guesses[0] - hits[0]),
                "false_negatives": int(truths[0] - hits[0]),
                "ignored_detections": int(self._detections[0, IGNORED].sum()),
                "classes_without_map": self._without_map,
            },
        )
