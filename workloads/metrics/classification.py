"""Classification: mean average precision, and the share of images whose class is not on top."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.metrics.average_precision import (
    AveragePrecision,
    class_flags,
    per_class_average_precision,
)
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import class_mean, per_class, ratios
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions


class _Row(NamedTuple):
    image_id: str
    scores: NDArray[np.float32]
    labels: tuple[int, ...]
    difficult_labels: tuple[int, ...]


class ClassificationMap(Metric):
    """Mean over classes of the average precision of class scores.

    The value is VOC10+'s area; VOC07's 11-point value stands in the details. An image whose
    objects of a class are all difficult does not count for that class. Classes without a
    positive image have no value and do not enter the mean.
    """

    name = "classification_map"
    title = "Classification mAP"
    columns: ClassVar[dict[str, type]] = {"score": float, "rank": int}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._rows: list[_Row] = []

    def update(self, image: Evaluated) -> Columns:
        """Keep the scores and labels of one image; the score and rank of each of its classes."""
        truth = image.prediction.truth
        self._rows.append(
            _Row(image.prediction.image_id, image.scores, truth.labels, truth.difficult_labels)
        )
        ranking = image.ranking()
        return {
            k: {"score": float(image.scores[k]), "rank": 1 + ranking.index(k)} for k in truth.labels
        }

    def result(self) -> MetricResult:
        """Mean average precision; `counted` is image-class pairs."""
        rows = sorted(self._rows, key=lambda row: row.image_id)
        scores = np.array([row.scores for row in rows]).reshape(-1, self.num_classes)
        positive = class_flags([row.labels for row in rows], self.num_classes)
        skip = class_flags([row.difficult_labels for row in rows], self.num_classes)
        weights = self.weights_of([row.image_id for row in rows])
        found = per_class_average_precision(scores, positive, skip, weights)
        value = self._read(found)
        layers = class_mean(value)
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(value[0]),
            centre=None,
            counted=int((~skip).sum()),
            skipped=int(skip.sum()),
            details={
                "eleven_point": float(class_mean(found.eleven_point)[0]),
                "eleven_point_per_class": {
                    str(k): v for k, v in per_class(found.eleven_point[0]).items()
                },
            },
        )

    def _read(self, found: AveragePrecision) -> NDArray[np.float64]:
        return found.area


class ClassificationMap11pt(ClassificationMap):
    """Classification by VOC07's average precision: the mean over recall 0, 0.1 .. 1."""

    name = "classification_map_11pt"
    title = "Classification 11-point mAP"

    def _read(self, found: AveragePrecision) -> NDArray[np.float64]:
        return found.eleven_point


class Top1Error(Metric):
    """Share of images of which no true class is the best scored one.

    With one label per image this is ILSVRC's top-1 classification error; with several it is
    enough that one of them is on top. Images without a label, or with difficult objects only,
    are skipped.
    """

    name = "top1_error"
    title = "Top-1 classification error"
    higher_is_better = False
    columns: ClassVar[dict[str, type]] = {"wrong": bool}
    guesses: ClassVar[int] = 1

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._images = self.zeros(num_classes)
        self._wrong = self.zeros(num_classes)
        self._counted = self.zeros()
        self._missed = self.zeros()
        self._skipped = 0

    def update(self, image: Evaluated) -> Columns:
        """Count one image, once in all and once for each of its classes."""
        labels = image.prediction.truth.labels
        if not labels:
            self._skipped += 1
            return {}
        weights = self.weights(image)
        wrong = not set(labels) & set(image.ranking()[: self.guesses])
        self._counted += weights
        self._missed += weights * wrong
        for label in labels:
            self._images[:, label] += weights
            self._wrong[:, label] += weights * wrong
        return {label: {"wrong": wrong} for label in labels}

    def result(self) -> MetricResult:
        """Error over images."""
        layers = ratios(self._missed, self._counted)
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(ratios(self._wrong, self._images)[0]),
            centre=None,
            counted=int(self._counted[0]),
            skipped=self._skipped,
        )


class Top5Error(Top1Error):
    """Share of images of which no true class is among the five best scored (ILSVRC's top-5)."""

    name = "top5_error"
    title = "Top-5 classification error"
    guesses: ClassVar[int] = 5
