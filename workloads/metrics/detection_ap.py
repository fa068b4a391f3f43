"""Detection average precision as PASCAL VOC has it.

# N images, D detections, K classes, R layers: the data and its bootstrap replicates
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from workloads.detections import Detections
from workloads.metrics.average_precision import AveragePrecision, average_precision
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import class_mean, per_class
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.matching import IGNORED, TRUE_POSITIVE, match_devkit
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import left_out
from workloads.records import GroundTruth

S = TypeVar("S", bound=np.generic)


class _Row(NamedTuple):
    """One image: its detections that are not ignored, and the classes of the boxes to be found."""

    image_id: str
    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    true: NDArray[np.bool_]
    required: NDArray[np.int32]


class _Cases(NamedTuple):
    """The detections of all images and the boxes that none of them found."""

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    true: NDArray[np.bool_]
    images: NDArray[np.int64]
    missed: NDArray[np.int64]  # (R, K)


class VocAp(Metric):
    """Mean over classes of the average precision of boxes at IoU 0.5 (VOC10+, area).

    Detections are the boxes that the model's box rule finds in every stored map, ranked by score
    over all images; the model's own score threshold does not matter, since the ranking holds
    every threshold. They are matched as VOC's devkit does it (`matching.match_devkit`): difficult
    boxes and crowds are neither found nor missed, a second detection of a box is false. Classes
    that are in an image without boxes are not judged there, nor are blacklisted images. Equal
    scores enter together.

    VOC's own files have inclusive corners and widths of x1 - x0 + 1; our boxes are converted at
    the border, so for them the devkit's IoU is `half_open`.
    """

    name = "voc_ap"
    title = "Detection AP (VOC)"
    uses = ("iou", "box_widths", "ap_score_threshold", "blacklisted")
    columns: ClassVar[dict[str, type]] = {"true": int, "missed": int}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._rows: list[_Row] = []
        self._ignored = 0
        self._not_required = 0

    def update(self, image: Evaluated) -> Columns:
        """Match the detections of one image; found and missed boxes of each class in it."""
        truth = image.prediction.truth
        if left_out(truth, self.options.blacklisted):
            self._not_required += len(truth.box_labels)
            return {}
        found = image.detections(self.options.ap_score_threshold)
        outcomes = self._match(found, truth)
        kept = outcomes != IGNORED
        required = truth.box_labels[truth.box_required]
        row = _Row(
            image.prediction.image_id,
            found.labels[kept],
            found.scores[kept],
            outcomes[kept] == TRUE_POSITIVE,
            required,
        )
        self._rows.append(row)
        self._ignored += int((~kept).sum())
        self._not_required += int((~truth.box_required).sum())
        hits = np.bincount(row.labels[row.true], minlength=self.num_classes)
        wanted = np.bincount(required, minlength=self.num_classes)
        return {
            int(k): {"true": int(hits[k]), "missed": int(wanted[k] - hits[k])}
            for k in np.flatnonzero(wanted)
        }

    def result(self) -> MetricResult:
        """Mean average precision; `counted` is the boxes to be found."""
        rows = sorted(self._rows, key=lambda row: row.image_id)
        weights = self.weights_of([row.image_id for row in rows])
        cases = self._cases(rows, weights)
        of_classes = self._average_precision(cases, weights)
        layers = class_mean(of_classes)
        true = int(cases.true.sum())
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(of_classes[0]),
            centre=None,
            counted=true + int(cases.missed[0].sum()),
            skipped=self._not_required,
            details={
                "true_positives": true,
                "false_positives": len(cases.true) - true,
                "false_negatives": int(cases.missed[0].sum()),
                "ignored_detections": self._ignored,
            },
        )

    def _read(self, found: AveragePrecision) -> NDArray[np.float64]:
        return found.area

    def _match(self, found: Detections, truth: GroundTruth) -> NDArray[np.uint8]:
        outcomes = np.zeros(len(found), np.uint8)
        for label in np.unique(found.labels).tolist():
            of_class = found.labels == label  # still best first
            outcomes[of_class] = match_devkit(
                found.boxes_xyxy[of_class],
                truth,
                label,
                self.options.iou,
                self.options.box_widths,
            )
        return outcomes

    def _cases(self, rows: list[_Row], weights: NDArray[np.uint8]) -> _Cases:
        labels = _joined([row.labels for row in rows], np.int32)
        scores = _joined([row.scores for row in rows], np.float32)
        true = _joined([row.true for row in rows], np.bool_)
        required = _joined([row.required for row in rows], np.int32)
        images = _owners([row.labels for row in rows])
        missed = np.zeros((self.num_classes, weights.shape[1]), np.int64)
        np.add.at(missed, required, weights[_owners([row.required for row in rows])])
        np.subtract.at(missed, labels[true], weights[images[true]])
        return _Cases(labels, scores, true, images, missed.T)

    def _average_precision(self, cases: _Cases, weights: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(R, K); NaN for classes without a box to be found."""
        of_classes = np.full((weights.shape[1], self.num_classes), np.nan)
        with_boxes = {*cases.labels[cases.true].tolist(), *np.flatnonzero(cases.missed[0]).tolist()}
        for k in sorted(with_boxes):
            mine = np.flatnonzero(cases.labels == k)
            of_classes[:, k] = self._read(
                average_precision(
                    cases.scores[mine],
                    cases.true[mine],
                    weights,
                    cases.missed[:, k],
                    cases.images[mine],
                )
            )
        return of_classes


class VocAp11pt(VocAp):
    """Detection AP by VOC07's average precision: the mean over recall 0, 0.1 .. 1."""

    name = "voc_ap_11pt"
    title = "Detection AP (VOC07, 11 points)"

    def _read(self, found: AveragePrecision) -> NDArray[np.float64]:
        return found.eleven_point


def _joined(parts: list[NDArray[S]], kind: type[S]) -> NDArray[S]:
    """All parts one after another; there may be none."""
    return np.concatenate([np.zeros(0, kind), *parts])


def _owners(parts: list[NDArray[np.int32]]) -> NDArray[np.int64]:
    """The number of the part that each element of all parts comes from."""
    return np.repeat(np.arange(len(parts)), np.array([len(part) for part in parts], np.int64))
