"""Detections against ground truth: true, false or ignored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import iou_matrix
from workloads.records import GroundTruth

FALSE_POSITIVE, TRUE_POSITIVE, IGNORED = 0, 1, 2
OUTCOMES = 3


def match(
    boxes_xyxy: NDArray[np.float32], truth: GroundTruth, label: int, iou: float
) -> NDArray[np.uint8]:
    """(N,) outcome of the detections of one class in one image, greedily by score.

    Each takes the free ground-truth box with the highest IoU, if it reaches `iou`; difficult
    boxes are never taken.

    Args:
        boxes_xyxy: (N, 4) boxes of the class, best score first.
    """
    if _unjudged(truth, label):
        return np.full(len(boxes_xyxy), IGNORED, np.uint8)
    overlaps, difficult = _overlaps(boxes_xyxy, truth, label)
    free = ~difficult
    outcomes = np.full(len(boxes_xyxy), FALSE_POSITIVE, np.uint8)
    for i, row in enumerate(overlaps):
        best = int(np.argmax(np.where(free, row, -1.0))) if free.any() else -1
        if best >= 0 and row[best] >= iou:
            outcomes[i] = TRUE_POSITIVE
            free[best] = False
        elif (row[difficult] >= iou).any():
            outcomes[i] = IGNORED
    return outcomes


def match_alone(
    boxes_xyxy: NDArray[np.number], truth: GroundTruth, label: int, iou: float
) -> NDArray[np.uint8]:
    """(N,) outcome of each box if it were the only detection of its class in the image."""
    if _unjudged(truth, label):
        return np.full(len(boxes_xyxy), IGNORED, np.uint8)
    overlaps, difficult = _overlaps(boxes_xyxy, truth, label)
    reached = overlaps >= iou
    outcomes = np.where(reached[:, difficult].any(axis=1), IGNORED, FALSE_POSITIVE)
    return np.where(reached[:, ~difficult].any(axis=1), TRUE_POSITIVE, outcomes).astype(np.uint8)


def _unjudged(truth: GroundTruth, label: int) -> bool:
    """A class that is in the image but has no boxes there says nothing about a box."""
    named = label in truth.labels or label in truth.difficult_labels
    return named and not (truth.box_labels == label).any()


def _overlaps(
    boxes_xyxy: NDArray[np.number], truth: GroundTruth, label: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    of_class = truth.box_labels == label
    return iou_matrix(boxes_xyxy, truth.boxes_xyxy[of_class]), ~truth.box_required[of_class]
