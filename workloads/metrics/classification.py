"""Classification: mean average precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.metrics.average_precision import AveragePrecision, per_class_average_precision
from workloads.metrics.base import (
    Evaluated,
    Metric,
    MetricOptions,
    MetricResult,
    mean_over_classes,
)


class ClassificationMap(Metric):
    """Mean over classes of the average precision of class scores (METHODS section 7).

    The value is VOC10+'s area; VOC07's 11-point value stands in the details. An image whose
    objects of a class are all difficult does not count for that class. Classes without a
    positive image have no value and do not enter the mean.
    """

    name = "classification_map"
    title = "Classification mAP"

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._rows: list[tuple[NDArray[np.float32], tuple[int, ...], tuple[int, ...]]] = []

    def update(self, image: Evaluated) -> None:
        """Keep the scores and labels of one image."""
        truth = image.prediction.truth
        self._rows.append((image.scores, truth.labels, truth.difficult_labels))

    def result(self) -> MetricResult:
        """Mean average precision; `counted` is image-class pairs."""
        scores = np.array([row[0] for row in self._rows]).reshape(-1, self.num_classes)
        positive = _flags([row[1] for row in self._rows], self.num_classes)
        skip = _flags([row[2] for row in self._rows], self.num_classes)
        per_class = per_class_average_precision(scores, positive, skip)
        return MetricResult(
            value=mean_over_classes([ap.area for ap in per_class.values()]),
            per_class={k: ap.area for k, ap in per_class.items()},
            centre=None,
            counted=int((~skip).sum()),
            skipped=int(skip.sum()),
            details=_eleven_point(per_class),
        )


def _eleven_point(per_class: dict[int, AveragePrecision]) -> dict[str, object]:
    values = {str(k): ap.eleven_point for k, ap in per_class.items()}
    return {
        "eleven_point": mean_over_classes(list(values.values())),
        "eleven_point_per_class": values,
    }


def _flags(labels: list[tuple[int, ...]], num_classes: int) -> NDArray[np.bool_]:
    """(N, K) flags from the class indices of each image."""
    flags = np.zeros((len(labels), num_classes), np.bool_)
    for row, of_image in enumerate(labels):
        flags[row, list(of_image)] = True
    return flags
