"""The pointing game: is the hottest pixel on the object?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.localization.points import peak, point_in_boxes
from workloads.metrics.base import (
    Evaluated,
    Metric,
    MetricOptions,
    MetricResult,
    mean_over_classes,
    ratios,
)
from workloads.metrics.pairs import given_pairs
from workloads.records import GroundTruth

ALL, DIFFICULT = 0, 1
SMALL_SHARE = 0.25


class Pointing(Metric):
    """Pointing accuracy, mean over classes of hits / (hits + misses) (METHODS section 7).

    A hit is a peak inside any box of the class or within the tolerance of it. As in TorchRay's
    version of the game, classes whose objects are all difficult are skipped, and the difficult
    objects of other classes can be hit.

    The value is over all pairs; `details["difficult_subset"]` holds the same over the pairs of
    images where the boxes of the class together cover less than a quarter and another class is
    present (difficult or not). No published list of that subset was at hand to confirm the
    definition. The centre baseline always points at the middle of the image.
    """

    name = "pointing"
    title = "Pointing game"

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        # (all or difficult subset, class)
        self._pairs = np.zeros((2, num_classes), np.int64)
        self._hits = np.zeros((2, num_classes), np.int64)
        self._centre = np.zeros((2, num_classes), np.int64)
        self._skipped = 0

    def update(self, image: Evaluated) -> None:
        """Count the pairs of one image."""
        p = image.prediction
        pairs = given_pairs(p.truth)
        self._skipped += pairs.skipped
        for label, boxes in pairs.boxes.items():
            hit = self._points_at(peak(image.map01(label)), boxes)
            centre = self._points_at((p.width / 2, p.height / 2), boxes)
            difficult = in_difficult_subset(p.truth, label, boxes, p.width, p.height)
            for subset in (ALL, DIFFICULT) if difficult else (ALL,):
                self._pairs[subset, label] += 1
                self._hits[subset, label] += hit
                self._centre[subset, label] += centre

    def result(self) -> MetricResult:
        """Accuracy over all pairs, and in the details over the difficult subset."""
        return MetricResult(
            value=_mean(self._hits[ALL], self._pairs[ALL]),
            per_class=ratios(self._hits[ALL], self._pairs[ALL]),
            centre=_mean(self._centre[ALL], self._pairs[ALL]),
            counted=int(self._pairs[ALL].sum()),
            skipped=self._skipped,
            details={
                "difficult_subset": self._difficult_subset(),
                "tolerance_px": self.options.pointing_tolerance_px,
                "shape": self.options.pointing_shape,
            },
        )

    def _difficult_subset(self) -> dict[str, object]:
        hits, pairs = self._hits[DIFFICULT], self._pairs[DIFFICULT]
        return {
            "value": _mean(hits, pairs),
            "per_class": {str(k): v for k, v in ratios(hits, pairs).items()},
            "centre": _mean(self._centre[DIFFICULT], pairs),
            "counted": int(pairs.sum()),
        }

    def _points_at(self, point: tuple[float, float], boxes: NDArray[np.float32]) -> bool:
        tolerance, shape = self.options.pointing_tolerance_px, self.options.pointing_shape
        return bool(point_in_boxes(point, boxes, tolerance, shape).any())


def in_difficult_subset(
    truth: GroundTruth, label: int, boxes: NDArray[np.float32], width: int, height: int
) -> bool:
    """Whether the class's boxes cover less than a quarter of an image with another class."""
    others = {*truth.labels, *truth.difficult_labels} - {label}
    return bool(others) and covered_area(boxes) < SMALL_SHARE * width * height


def covered_area(boxes: NDArray[np.float32]) -> float:
    """Area of the union of (G, 4) boxes in pixels, overlaps counted once."""
    exact = boxes.astype(np.float64)
    xs, ys = np.unique(exact[:, [0, 2]]), np.unique(exact[:, [1, 3]])
    covered = np.zeros((len(ys) - 1, len(xs) - 1), np.bool_)
    for x0, y0, x1, y1 in exact:
        covered[
            np.searchsorted(ys, y0) : np.searchsorted(ys, y1),
            np.searchsorted(xs, x0) : np.searchsorted(xs, x1),
        ] = True
    return float((np.diff(ys)[:, None] * np.diff(xs)[None, :])[covered].sum())


def _mean(hits: NDArray[np.int64], pairs: NDArray[np.int64]) -> float:
    return mean_over_classes(list(ratios(hits, pairs).values()))
