"""COCO's average precision: matched by pycocotools, accumulated here with weights.

# A area ranges, T IoU thresholds, P points of recall, D detections, N images, K classes
# R layers: the data and its bootstrap replicates
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval, Params

from workloads.detections import Detections
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import class_mean, per_class
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.matching import unjudged
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import left_out
from workloads.records import GroundTruth

ALL, SMALL, MEDIUM, LARGE = range(4)
_EVERY = slice(None)
_PARAMS = Params(iouType="bbox")


class _Case(NamedTuple):
    """One class of one image as `COCOeval.evaluateImg` judged it, its detections best first."""

    image_id: str
    label: int
    scores: NDArray[np.float64]  # (D,)
    matched: NDArray[np.bool_]  # (A, D, T)
    ignored: NDArray[np.bool_]  # (A, D, T)
    truths: NDArray[np.int64]  # (A,) boxes to be found


class _ClassCases(NamedTuple):
    """All images of one class, detections best first."""

    images: NDArray[np.int64]  # (D,) row of weights
    ranks: NDArray[np.int64]  # (D,) place among the image's detections of the class
    matched: NDArray[np.bool_]  # (A, D, T)
    ignored: NDArray[np.bool_]  # (A, D, T)
    owners: NDArray[np.int64]  # (N,) row of weights
    truths: NDArray[np.int64]  # (A, N)


class CocoAp(Metric):
    """COCO's AP: mean over IoU .50, .55 .. .95, classes and 101 points of recall.

    Detections are the boxes that the model's box rule finds in every stored map, at most 100 of
    a class in an image. pycocotools matches them, image by image; accumulation over images is
    done here, so that it can be merged and weighted for the bootstrap, and gives pycocotools'
    numbers bit for bit (the tests compare them). Equal scores stand in the order of the image
    ids, within an image in that of the detections.

    Crowds are `iscrowd`; difficult boxes are to be ignored as boxes outside of the area range
    are, which COCO's files cannot say. Areas are those of boxes, as COCO's files with areas of
    segments are not at hand here; that matters for `ap_small` .. `ar_large` alone. Classes that
    are in an image without boxes are not judged there, nor are blacklisted images.

    The single images show the boxes found and missed at IoU .5.
    """

    name = "coco_ap"
    title = "Detection AP (COCO)"
    uses = ("ap_score_threshold", "blacklisted")
    columns: ClassVar[dict[str, type]] = {"true": int, "missed": int}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._cases: list[_Case] = []
        self._not_required = 0

    def update(self, image: Evaluated) -> Columns:
        """Match the detections of one image; found and missed boxes of each class in it."""
        truth = image.prediction.truth
        if left_out(truth, self.options.blacklisted):
            self._not_required += len(truth.box_labels)
            return {}
        self._not_required += int((~truth.box_required).sum())
        cases = _judge(
            image.prediction.image_id, truth, image.detections(self.options.ap_score_threshold)
        )
        self._cases += cases
        return {case.label: _found(case) for case in cases if case.truths[ALL]}

    def result(self) -> MetricResult:
        """AP over all; `details` has the other numbers of COCO's summary."""
        cases = sorted(self._cases, key=lambda case: (case.image_id, case.label))
        image_ids = sorted({case.image_id for case in cases})
        weights = self.weights_of(image_ids)
        row = {image_id: n for n, image_id in enumerate(image_ids)}
        classes = {k: _stack(mine, row) for k, mine in _by_class(cases).items()}
        layers = np.full((weights.shape[1], self.num_classes), np.nan)
        for k, mine in classes.items():
            layers[:, k] = _class_ap(mine, weights)
        means = class_mean(layers)
        summary = _summary(list(classes.values()), weights[:, :1])
        return MetricResult(
            value=summary.pop("ap"),
            interval=self.interval(means),
            layers=means,
            per_class=per_class(layers[0]),
            centre=None,
            counted=sum(int(case.truths[ALL]) for case in cases),
            skipped=self._not_required,
            details=dict(summary),
        )


def _judge(image_id: str, truth: GroundTruth, found: Detections) -> list[_Case]:
    """The classes of one image that have boxes or detections.

    pycocotools wants whole data sets as objects that print what they do. Its judge of a single
    image needs only the boxes, which it keeps in two private tables; the tests would notice if
    that changed.
    """
    judge = COCOeval(iouType="bbox")
    cases = []
    for label in sorted({*truth.box_labels.tolist(), *found.labels.tolist()}):
        if unjudged(truth, label):
            continue
        judge._gts[1, label] = _truths(truth, label)
        judge._dts[1, label] = _guesses(found, label)
        judge.ious[1, label] = judge.computeIoU(1, label)
        most = _PARAMS.maxDets[-1]
        areas = [judge.evaluateImg(1, label, area, most) for area in _PARAMS.areaRng]
        cases.append(_case(image_id, label, areas))
    return cases


def _case(image_id: str, label: int, areas: list[dict[str, Any]]) -> _Case:
    return _Case(
        image_id,
        label,
        np.array(areas[ALL]["dtScores"], np.float64),
        np.array([area["dtMatches"].T != 0 for area in areas]),
        np.array([area["dtIgnore"].T != 0 for area in areas]),
        np.array([(area["gtIgnore"] == 0).sum() for area in areas], np.int64),
    )


def _truths(truth: GroundTruth, label: int) -> list[dict[str, Any]]:
    of_class = np.flatnonzero(truth.box_labels == label)
    return [
        {
            "id": 1 + n,
            "ignore": int(not truth.box_required[i]),
            "iscrowd": int(truth.box_crowd[i]),
            **_box(truth.boxes_xyxy[i]),
        }
        for n, i in enumerate(of_class)
    ]


def _guesses(found: Detections, label: int) -> list[dict[str, Any]]:
    of_class = np.flatnonzero(found.labels == label)
    return [
        {"id": 1 + n, "score": float(found.scores[i]), **_box(found.boxes_xyxy[i])}
        for n, i in enumerate(of_class)
    ]


def _box(corners: NDArray[np.float32]) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(v) for v in corners)
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}


def _found(case: _Case) -> dict[str, int]:
    true = int((case.matched[ALL, :, 0] & ~case.ignored[ALL, :, 0]).sum())
    return {"true": true, "missed": int(case.truths[ALL]) - true}


def _by_class(cases: list[_Case]) -> dict[int, list[_Case]]:
    classes: dict[int, list[_Case]] = defaultdict(list)
    for case in cases:
        classes[case.label].append(case)
    return dict(sorted(classes.items()))


def _stack(cases: list[_Case], row: dict[str, int]) -> _ClassCases:
    """The cases of one class, ordered by image."""
    owners = np.array([row[case.image_id] for case in cases])
    scores = np.concatenate([case.scores for case in cases])
    order = np.argsort(-scores, kind="stable")
    counts = [len(case.scores) for case in cases]
    return _ClassCases(
        np.repeat(owners, counts)[order],
        np.concatenate([np.arange(count) for count in counts])[order],
        np.concatenate([case.matched for case in cases], axis=1)[:, order],
        np.concatenate([case.ignored for case in cases], axis=1)[:, order],
        owners,
        np.stack([case.truths for case in cases], axis=1),
    )


def _class_ap(mine: _ClassCases, weights: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(R,) mean over T and P of the precision in each layer; NaN without boxes to be found."""
    precision, _ = _curves(mine, ALL, weights)
    means: NDArray[np.float64] = precision.mean(axis=(1, 2))
    return means


def _curves(
    mine: _ClassCases, area: int, weights: NDArray[np.uint8], detections: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(R, T, P) precision and (R, T) recall of one class; NaN without boxes to be found."""
    kept = mine.ranks < (len(mine.ranks) if detections is None else detections)
    totals = weights[mine.owners].T.astype(np.int64) @ mine.truths[area]
    found: tuple[NDArray[np.float64], NDArray[np.float64]] = _accumulate(
        mine.matched[area][kept],
        mine.ignored[area][kept],
        mine.images[kept],
        weights,
        totals,
        _PARAMS.recThrs,
    )
    return found


def _summary(classes: list[_ClassCases], once: NDArray[np.uint8]) -> dict[str, float]:
    """COCO's summary: means over classes, thresholds and points of recall.

    Args:
        once: (N, 1) weights of the data themselves.
    """

    def mean_of(index: int, area: int, most: int | None = None, at: slice = _EVERY) -> float:
        curves = [_curves(mine, area, once, most)[index][0, at] for mine in classes]
        return _mean(np.stack(curves, axis=-1)) if curves else float("nan")

    precision, recall = 0, 1
    return {
        "ap": mean_of(precision, ALL),
        "ap50": mean_of(precision, ALL, at=slice(0, 1)),
        "ap75": mean_of(precision, ALL, at=slice(5, 6)),
        "ap_small": mean_of(precision, SMALL),
        "ap_medium": mean_of(precision, MEDIUM),
        "ap_large": mean_of(precision, LARGE),
        "ar_1": mean_of(recall, ALL, 1),
        "ar_10": mean_of(recall, ALL, 10),
        "ar_100": mean_of(recall, ALL),
        "ar_small": mean_of(recall, SMALL),
        "ar_medium": mean_of(recall, MEDIUM),
        "ar_large": mean_of(recall, LARGE),
    }


def _mean(of_classes: NDArray[np.float64]) -> float:
    """Mean of all that is a number, summed in pycocotools' order: classes run fastest."""
    flat = of_classes.ravel()
    found = flat[np.isfinite(flat)]
    return float(found.mean()) if len(found) else float("nan")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _accumulate(
    matched: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    rows: NDArray[np.int64],
    weights: NDArray[np.uint8],
    totals: NDArray[np.int64],
    recalls: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(R, T, P) and (R, T): what `COCOeval.accumulate` does, every case taken weight times.

    Args:
        matched, ignored: (D, T), best first.
        rows: (D,) row of `weights` (N, R) of each detection.
        totals: (R,) boxes to be found.
        recalls: (P,) points at which precision is read.
    """
    count, thresholds = matched.shape
    layers, points = weights.shape[1], len(recalls)
    precision = np.full((layers, thresholds, points), np.nan)
    reached = np.full((layers, thresholds), np.nan)
    recall, envelope = np.empty(count), np.empty(count)
    for r in range(layers):
        if totals[r] == 0:
            continue
        for t in range(thresholds):
            true, false = 0, 0
            for i in range(count):
                if not ignored[i, t]:
                    if matched[i, t]:
                        true += weights[rows[i], r]
                    else:
                        false += weights[rows[i], r]
                recall[i] = true / totals[r]
                # The same guard against 0 / 0 as in pycocotools; it moves the last bit.
                envelope[i] = true / ((false + true) + 2.220446049250313e-16)
            for i in range(count - 1, 0, -1):
                envelope[i - 1] = max(envelope[i - 1], envelope[i])
            reached[r, t] = recall[count - 1] if count else 0.0
            at = 0
            for p in range(points):
                while at < count and recall[at] < recalls[p]:
                    at += 1
                precision[r, t, p] = envelope[at] if at < count else 0.0
    return precision, reached
