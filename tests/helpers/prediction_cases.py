"""Small predictions for the tests of metrics and search, made by hand or from a seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from workloads.detections import Detections
from workloads.images.masks import encode_mask
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.base import MetricResult
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS
from workloads.predictions.store import Prediction
from workloads.records import GroundTruth

SIDE = 20


def truth_of(
    *boxes: tuple,
    labels: tuple[int, ...] = (),
    mask: np.ndarray | None = None,
    blacklisted: bool = False,
) -> GroundTruth:
    """Ground truth from rows (x0, y0, x1, y1, label[, difficult[, crowd]])."""
    rows = [(*box, False, False)[:7] for box in boxes]
    truth = GroundTruth(labels=labels)
    if rows:
        corners = np.array([row[:4] for row in rows], np.float32)
        classes, difficult, crowd = (np.array([row[i] for row in rows]) for i in (4, 5, 6))
        truth = GroundTruth.from_boxes(corners, classes, difficult, box_crowd=crowd)
    data = None if mask is None else encode_mask(mask)
    return replace(truth, mask=data, blacklisted=blacklisted)


def box_map(width: int, height: int, *boxes: tuple) -> np.ndarray:
    """A map that is 0 but for boxes (x0, y0, x1, y1, heat)."""
    heat = np.zeros((height, width), np.float32)
    for x0, y0, x1, y1, value in boxes:
        heat[y0:y1, x0:x1] = value
    return heat


def point_map(x: int, y: int) -> np.ndarray:
    """A map with one hot pixel, as large as the images made by hand."""
    return box_map(SIDE, SIDE, (x, y, x + 1, y + 1, 1.0))


PLAIN = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0))


def prediction_of(
    image_id: str,
    truth: GroundTruth,
    scores: list[float],
    maps: dict[int, np.ndarray],
    proposal: np.ndarray | None = None,
) -> Prediction:
    """A prediction whose maps are as large as the image."""
    height, width = next(iter(maps.values())).shape
    return Prediction(
        image_id=image_id,
        split="val",
        width=width,
        height=height,
        truth=truth,
        scores=np.array(scores, np.float32),
        map_labels=np.array(sorted(maps), np.int32),
        scales=(np.array([maps[k] for k in sorted(maps)], np.float32),),
        proposal=proposal,
    )


def evaluated(prediction: Prediction, **cutoffs: object) -> Evaluated:
    """The prediction as a metric sees it, without rescoring."""
    return Evaluated(prediction, prediction.scores, Cutoffs(**cutoffs))


def image_of(
    truth: GroundTruth,
    maps: dict[int, np.ndarray],
    scores: Iterable[float] = (0.9, 0.1, 0.1),
    image_id: str = "a",
    proposal: np.ndarray | None = None,
    **cutoffs: object,
) -> Evaluated:
    """An image made by hand, as a metric sees it."""
    return evaluated(prediction_of(image_id, truth, list(scores), maps, proposal), **cutoffs)


def detected(image_id: str, truth: GroundTruth, found: Detections) -> Evaluated:
    """An image in which the model finds just these boxes, whatever its map."""
    maps = {0: np.zeros((found.height, found.width), np.float32)}
    image = image_of(truth, maps, [0.0], image_id)
    image.once(("detections", 0.0), lambda: found)
    return image


def measure(name: str, images: Iterable[Evaluated], classes: int = 3, **options) -> MetricResult:
    """The result of one metric."""
    metric = METRICS[name](classes, MetricOptions(**options))
    for image in images:
        metric.update(image)
    return metric.result()


def random_predictions(seed: int, images: int, classes: int, side: int = 24) -> list[Prediction]:
    """Images with 0 to 3 objects, some difficult, crowds or blacklisted.

    Images of one class have a mask, most have a proposal, and every other one lacks the map of
    one class. Scores are coarse, so that ties occur.
    """
    rng = np.random.default_rng(seed)
    return [_random_prediction(rng, i, classes, side) for i in range(images)]


def _random_prediction(rng, index: int, classes: int, side: int) -> Prediction:
    truth = _random_truth(rng, classes, side)
    scores = (rng.integers(0, 8, classes) / 8).astype(np.float32)
    maps = 0.3 * rng.random((classes, side // 4, side // 4)).astype(np.float32)
    proposal = rng.random((side // 4, side // 4)).astype(np.float32)
    for (x0, y0, x1, y1), label in zip(truth.boxes_xyxy, truth.box_labels, strict=True):
        place = (slice(int(y0) // 4, int(y1) // 4), slice(int(x0) // 4, int(x1) // 4))
        maps[label][place] += rng.uniform(0.3, 1.0)
        proposal[place] += 1.0
    stored = set(range(classes))
    if index % 2:
        spare = stored - set(truth.box_labels.tolist())
        stored -= set(sorted(spare)[:1])
    kept = np.array(sorted(stored), np.int32)
    return Prediction(
        image_id=f"{index:04}",
        split="val",
        width=side,
        height=side,
        truth=truth,
        scores=scores,
        map_labels=kept,
        scales=(maps[kept],),
        proposal=proposal if rng.random() < 0.8 else None,
    )


def _random_truth(rng, classes: int, side: int) -> GroundTruth:
    count = int(rng.integers(0, 4))
    corners = rng.integers(0, side - 12, (count, 2))
    boxes = np.concatenate([corners, corners + rng.integers(6, 13, (count, 2))], axis=1)
    labels = rng.integers(0, classes, count)
    truth = GroundTruth.from_boxes(
        boxes, labels, rng.random(count) < 0.2, box_crowd=rng.random(count) < 0.1
    )
    mask = np.zeros((side, side), np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = 1
        mask[y0 : y0 + 2, x0:x1] = 255
    return replace(
        truth,
        mask=encode_mask(mask) if len(truth.labels) == 1 else None,
        blacklisted=bool(rng.random() < 0.1),
    )
