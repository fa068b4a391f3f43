"""Pointing with prediction: is the class there, and does its peak say where?

# N images, K classes, R layers: the data and its bootstrap replicates
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.errors import NotFound
from workloads.localization.points import point_in_boxes
from workloads.metrics.average_precision import (
    AveragePrecision,
    class_flags,
    per_class_average_precision,
)
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import class_mean, per_class
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import given_pairs, left_out


class _Row(NamedTuple):
    """One image: the classes that are judged present, those among them that are hit, others."""

    image_id: str
    scores: NDArray[np.float32]
    present: tuple[int, ...]
    hits: tuple[int, ...]
    centre_hits: tuple[int, ...]
    unjudged: tuple[int, ...]


class PointingMap(Metric):
    """Mean over classes of the average precision of points (Oquab et al. 2015, section 6).

    Each image gives each class one detection: its score, or by `pointing_score` the response at
    the peak (section 6 of the paper can be read both ways), with the peak of its map. It is true if
    the class is in the image and the peak lies in a box of it, grown by the tolerance. An object
    that is pointed at wrongly is a false positive and a missed object at once. A class is left
    out of an image where all its objects are difficult, or crowds, or have no boxes; blacklisted
    images are left out. The value is VOC10+'s area.

    Only the maps of classes in the image matter: elsewhere no point can be right. Centre
    baseline: the same scores, always pointing at the middle of the image (the paper's "center
    prediction").
    """

    name = "pointing_map"
    title = "Pointing with prediction, mAP"
    uses = ("prediction_tolerance_px", "pointing_shape", "pointing_score", "blacklisted")
    columns: ClassVar[dict[str, type]] = {"score": float, "hit": bool}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._rows: list[_Row] = []
        self._blacklisted = 0

    @property
    def needs_all_maps(self) -> bool:
        """To rank points by their response, one needs the response of every class."""
        return self.options.pointing_score == "response"

    def update(self, image: Evaluated) -> Columns:
        """Keep the scores and hits of one image; the score and hit of each class in it."""
        p = image.prediction
        if left_out(p.truth, self.options.blacklisted):
            self._blacklisted += self.num_classes
            return {}
        boxes = given_pairs(p.truth, self.options.blacklisted).boxes
        scores = self._scores(image)
        middle = (p.width / 2, p.height / 2)
        hits = tuple(k for k, of in boxes.items() if self._points_at(image.peak(k), of))
        centre_hits = tuple(k for k, of in boxes.items() if self._points_at(middle, of))
        unjudged = {*p.truth.labels, *p.truth.difficult_labels} - set(boxes)
        self._rows.append(
            _Row(p.image_id, scores, tuple(boxes), hits, centre_hits, tuple(sorted(unjudged)))
        )
        return {k: {"score": float(scores[k]), "hit": k in hits} for k in boxes}

    def result(self) -> MetricResult:
        """Mean average precision; `counted` is image-class pairs."""
        rows = sorted(self._rows, key=lambda row: row.image_id)
        weights = self.weights_of([row.image_id for row in rows])
        found = self._average_precision(rows, [row.hits for row in rows], weights)
        # The baseline has no interval, so the data alone will do.
        centre = self._average_precision(rows, [row.centre_hits for row in rows], weights[:, :1])
        layers = class_mean(found)
        unjudged = sum(len(row.unjudged) for row in rows)
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(found[0]),
            centre=float(class_mean(centre)[0]),
            counted=len(rows) * self.num_classes - unjudged,
            skipped=unjudged + self._blacklisted,
            details={
                "present": sum(len(row.present) for row in rows),
                "hits": sum(len(row.hits) for row in rows),
            },
        )

    def _scores(self, image: Evaluated) -> NDArray[np.float32]:
        """(K,) what the points of an image are ranked by.

        Raises:
            NotFound: the map of a class was not stored.
        """
        if self.options.pointing_score == "class":
            return image.scores
        stored = len(image.prediction.map_labels)
        if stored < self.num_classes:
            raise NotFound(
                f"metric {self.name}: to rank points by their response, the maps of all "
                f"{self.num_classes} classes are needed and {stored} are stored; set "
                "evaluate.stored_maps to the number of classes"
            )
        return np.array([image.response(k) for k in range(self.num_classes)], np.float32)

    def _read(self, found: AveragePrecision) -> NDArray[np.float64]:
        return found.area

    def _average_precision(
        self, rows: list[_Row], hits: list[tuple[int, ...]], weights: NDArray[np.uint8]
    ) -> NDArray[np.float64]:
        """(R, K); a present class that is not hit is a false case and a missed object."""
        scores = np.array([row.scores for row in rows]).reshape(-1, self.num_classes)
        hit = class_flags(hits, self.num_classes)
        present = class_flags([row.present for row in rows], self.num_classes)
        skip = class_flags([row.unjudged for row in rows], self.num_classes)
        missed = np.zeros((weights.shape[1], self.num_classes), np.int64)
        for n, k in zip(*np.nonzero(present & ~hit), strict=True):
            missed[:, k] += weights[n]
        return self._read(per_class_average_precision(scores, hit, skip, weights, missed))

    def _points_at(self, point: tuple[float, float], boxes: NDArray[np.float32]) -> bool:
        tolerance, shape = self.options.prediction_tolerance_px, self.options.pointing_shape
        return bool(point_in_boxes(point, boxes, tolerance, shape).any())


class PointingMap11pt(PointingMap):
    """Pointing with prediction by VOC07's average precision: the mean over recall 0, 0.1 .. 1."""

    name = "pointing_map_11pt"
    title = "Pointing with prediction, 11-point mAP"

    def _read(self, found: AveragePrecision) -> NDArray[np.float64]:
        return found.eleven_point
