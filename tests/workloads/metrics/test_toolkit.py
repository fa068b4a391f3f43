"""MaxBoxAcc under `protocol: wsolevaluation` against that toolkit's steps, written out plainly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS
from workloads.predictions.store import Prediction
from workloads.records import GroundTruth

FRAME = 224
TAUS = list(np.arange(0, 1, 0.001))


def predictions(seed: int, images: int) -> list[Prediction]:
    """Images of many sizes; smooth, noisy and constant 14x14 maps; one to three boxes."""
    rng = np.random.default_rng(seed)
    return [prediction(rng, index) for index in range(images)]


def prediction(rng: np.random.Generator, index: int) -> Prediction:
    width, height = (int(side) for side in rng.integers(60, 500, 2))
    count = int(rng.integers(1, 4))
    first = rng.uniform(0, 0.6, (count, 2))
    boxes = np.concatenate([first, first + rng.uniform(0.1, 0.4, (count, 2))], axis=1)
    truth = GroundTruth.from_boxes(
        (boxes * [width, height, width, height]).astype(np.float32), np.zeros(count, np.int32)
    )
    heat = rng.random((14, 14)).astype(np.float32)
    if index % 3:
        x, y = boxes[0, :2] * 14
        down, across = np.mgrid[:14, :14]
        heat = np.exp(-((across - x - 2) ** 2 + (down - y - 2) ** 2) / 8 + 0.1 * heat)
    if index % 7 == 6:
        heat[:] = 0.3  # no power of two: float32 would not keep it constant
    scores = np.ones(1, np.float32)
    maps = heat[None].astype(np.float32)
    labels = np.zeros(1, np.int32)
    return Prediction(f"{index:04}", "val", width, height, truth, scores, labels, (maps,))


def correct(images: list[Prediction], *, every_contour: bool, delta: float) -> np.ndarray:
    """(1000,) images with a right box at each threshold: the toolkit's `num_correct`."""
    counts = np.zeros(len(TAUS), np.int64)
    for image in images:
        picture = (normalised(image.maps[0]) * 255).astype(np.uint8)
        truths = [resized(box, image) for box in image.truth.boxes_xyxy.tolist()]
        for k, tau in enumerate(TAUS):
            boxes = boxes_at(picture, int(tau * picture.max()), every_contour)
            counts[k] += max(iou(box, truth) for box in boxes for truth in truths) >= delta
    return counts


def normalised(raw: np.ndarray) -> np.ndarray:
    heat = cv2.resize(raw.astype(np.float64), (FRAME, FRAME), interpolation=cv2.INTER_CUBIC)
    if heat.min() == heat.max():
        return np.zeros_like(heat)
    heat = heat - heat.min()
    return heat / heat.max()


def resized(box: list[float], image: Prediction) -> tuple[int, ...]:
    sides = (image.width, image.height) * 2
    return tuple(int(corner * FRAME / side) for corner, side in zip(box, sides, strict=True))


def boxes_at(picture: np.ndarray, threshold: int, every_contour: bool) -> list[tuple[int, ...]]:
    _, mask = cv2.threshold(picture, threshold, 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return [(0, 0, 0, 0)]
    if not every_contour:
        contours = [max(contours, key=cv2.contourArea)]
    rectangles = [cv2.boundingRect(contour) for contour in contours]
    return [(x, y, min(x + w, FRAME - 1), min(y + h, FRAME - 1)) for x, y, w, h in rectangles]


def iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize(
    ("name", "deltas", "every_contour"),
    [("max_box_acc", (0.5,), False), ("max_box_acc_v2", (0.3, 0.5, 0.7), True)],
)
def test_every_count_is_the_toolkits(name, deltas, every_contour):
    images = predictions(seed=3, images=15)
    metric = METRICS[name](1, MetricOptions(protocol="wsolevaluation", bootstrap=0))
    for image in images:
        metric.update(Evaluated(image, image.scores, Cutoffs()))
    expected = [correct(images, every_contour=every_contour, delta=d) for d in deltas]
    np.testing.assert_array_equal(metric._changes[0].cumsum(axis=1), expected)
    assert 0 < max(map(np.max, expected)) < len(images)
    best = [counts.max() / len(images) for counts in expected]
    assert metric.result().value == pytest.approx(np.mean(best))
