"""Small predictions for the tests of metrics and search, made by hand or from a seed."""

from __future__ import annotations

import numpy as np

from workloads.metrics import Evaluated
from workloads.model_card import Cutoffs
from workloads.predictions import Prediction
from workloads.records import GroundTruth


def truth_of(*boxes: tuple, labels: tuple[int, ...] = ()) -> GroundTruth:
    """Ground truth from (x0, y0, x1, y1, label) or (..., label, difficult) rows."""
    rows = [(*box, False) if len(box) == 5 else box for box in boxes]
    if not rows:
        return GroundTruth(labels=labels)
    corners = np.array([row[:4] for row in rows], np.float32)
    classes = np.array([row[4] for row in rows], np.int32)
    return GroundTruth.from_boxes(corners, classes, np.array([row[5] for row in rows], bool))


def box_map(width: int, height: int, *boxes: tuple) -> np.ndarray:
    """A map that is 0 but for boxes (x0, y0, x1, y1, heat)."""
    heat = np.zeros((height, width), np.float32)
    for x0, y0, x1, y1, value in boxes:
        heat[y0:y1, x0:x1] = value
    return heat


def prediction_of(
    image_id: str, truth: GroundTruth, scores: list[float], maps: dict[int, np.ndarray]
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
        maps=np.array([maps[k] for k in sorted(maps)], np.float32),
    )


def evaluated(prediction: Prediction, **cutoffs: object) -> Evaluated:
    """The prediction as a metric sees it, without rescoring."""
    return Evaluated(prediction, prediction.scores, Cutoffs(**cutoffs))


def random_predictions(seed: int, images: int, classes: int, side: int = 24) -> list[Prediction]:
    """Images with 0 to 3 objects, some difficult; every other image lacks one class's map."""
    rng = np.random.default_rng(seed)
    return [_random_prediction(rng, i, classes, side) for i in range(images)]


def _random_prediction(rng, index: int, classes: int, side: int) -> Prediction:
    count = int(rng.integers(0, 4))
    corners = rng.integers(0, side - 12, (count, 2))
    boxes = np.concatenate([corners, corners + rng.integers(6, 13, (count, 2))], axis=1)
    labels = rng.integers(0, classes, count).astype(np.int32)
    truth = GroundTruth.from_boxes(boxes.astype(np.float32), labels, rng.random(count) < 0.3)
    # Coarse scores, so that ties occur.
    scores = (rng.integers(0, 8, classes) / 8).astype(np.float32)
    maps = 0.3 * rng.random((classes, side // 4, side // 4)).astype(np.float32)
    for (x0, y0, x1, y1), label in zip(boxes // 4, labels, strict=True):
        maps[label, y0:y1, x0:x1] += rng.uniform(0.3, 1.0)
    stored = set(range(classes))
    if index % 2:
        spare = stored - set(labels.tolist())
        stored -= set(sorted(spare)[:1])
    kept = np.array(sorted(stored), np.int32)
    return Prediction(f"{index:04}", "val", side, side, truth, scores, kept, maps[kept])
