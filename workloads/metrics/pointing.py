"""The pointing game: is the hottest pixel on the object?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from workloads.errors import ConfigError
from workloads.localization.points import point_in_boxes
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import class_mean, per_class, ratios
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.pair_list import PairList, read_pairs
from workloads.metrics.pairs import given_pairs
from workloads.records import GroundTruth

SMALL_SHARE = 0.25


class Pointing(Metric):
    """Pointing accuracy, mean over classes of hits / (hits + misses).

    A hit is a peak inside any box of the class or within the tolerance of it. As in TorchRay's
    version of the game, classes whose objects are all difficult are skipped, unless
    `pointing_difficult_only` counts them as SPN's released code does, and the difficult objects
    of other classes can be hit. The centre baseline always points at the middle of the image.
    """

    name = "pointing"
    title = "Pointing game"
    uses: ClassVar[tuple[str, ...]] = (
        "pointing_tolerance_px",
        "pointing_shape",
        "pointing_difficult_only",
        "blacklisted",
    )
    columns: ClassVar[dict[str, type]] = {"hit": bool}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._pairs = self.zeros(num_classes)
        self._hits = self.zeros(num_classes)
        self._centre = np.zeros(num_classes, np.int64)
        self._skipped = 0

    def update(self, image: Evaluated) -> Columns:
        """Count the pairs of one image; whether the peak of each class hits."""
        p = image.prediction
        pairs = given_pairs(p.truth, self.options.blacklisted, self.options.pointing_difficult_only)
        weights = self.weights(image)
        self._skipped += pairs.skipped
        columns: Columns = {}
        for label, boxes in pairs.boxes.items():
            if not self._enters(image, label, boxes):
                self._skipped += 1
                continue
            hit = self._points_at(image.peak(label), boxes)
            self._pairs[:, label] += weights
            self._hits[:, label] += weights * hit
            self._centre[label] += self._points_at((p.width / 2, p.height / 2), boxes)
            columns[label] = {"hit": hit}
        return columns

    def result(self) -> MetricResult:
        """Accuracy, mean over classes."""
        of_classes = ratios(self._hits, self._pairs)
        layers = class_mean(of_classes)
        centre = ratios(self._centre[None], self._pairs[:1])
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(of_classes[0]),
            centre=float(class_mean(centre)[0]),
            counted=int(self._pairs[0].sum()),
            skipped=self._skipped,
        )

    def _enters(self, image: Evaluated, label: int, boxes: NDArray[np.float32]) -> bool:
        return True

    def _points_at(self, point: tuple[float, float], boxes: NDArray[np.float32]) -> bool:
        tolerance, shape = self.options.pointing_tolerance_px, self.options.pointing_shape
        return bool(point_in_boxes(point, boxes, tolerance, shape).any())


class PointingDifficult(Pointing):
    """The pointing game on its difficult subset: small objects in company.

    Pairs of images where the boxes of the class together cover less than a quarter and another
    class is present (difficult or not): that is a definition in words. A published list of the
    pairs (`difficult_pairs`) decides instead, where there is one.
    """

    name = "pointing_diff"
    title = "Pointing game, difficult subset"
    uses = (*Pointing.uses, "difficult_pairs")
    listed: PairList | None = None

    def use_classes(self, classes: Sequence[str]) -> None:
        """Read the list of pairs, if there is one."""
        super().use_classes(classes)
        if self.options.difficult_pairs is not None:
            self.listed = read_pairs(self.options.difficult_pairs, tuple(classes))

    def _enters(self, image: Evaluated, label: int, boxes: NDArray[np.float32]) -> bool:
        p = image.prediction
        if self.options.difficult_pairs is not None:
            if self.listed is None:
                raise ConfigError(
                    "metric pointing_diff: a list of pairs names classes, and which there are is "
                    "not known; call use_classes first, or build it by build_metrics with classes"
                )
            return (p.image_id, label) in self.listed
        return in_difficult_subset(p.truth, label, boxes, p.width, p.height)


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
