"""Detections against ground truth: true, false or ignored."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workloads.localization.boxes import BoxWidths, iou_matrix
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
    if unjudged(truth, label):
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


def match_devkit(
    boxes_xyxy: NDArray[np.float32],
    truth: GroundTruth,
    label: int,
    iou: float,
    widths: BoxWidths = "half_open",
) -> NDArray[np.uint8]:
    """(N,) outcome of the detections of one class in one image, by the rule of VOC's devkit.

    Each is compared with one box only: that of the class with the highest IoU, be it difficult or
    taken already (of equals the first). `match` lets it take the best box that is still free, so
    of two detections near two objects `match` may call both true where the devkit calls the
    second one false, and a detection that overlaps a difficult box most is ignored here, though
    it may reach an easy one too. Crowds are treated as difficult boxes.

    Args:
        boxes_xyxy: (N, 4) boxes of the class, best score first.
    """
    if unjudged(truth, label):
        return np.full(len(boxes_xyxy), IGNORED, np.uint8)
    overlaps, difficult = _overlaps(boxes_xyxy, truth, label, widths)
    outcomes = np.full(len(boxes_xyxy), FALSE_POSITIVE, np.uint8)
    if not len(difficult):
        return outcomes
    best = overlaps.argmax(axis=1)
    reached = overlaps[np.arange(len(best)), best] >= iou
    outcomes[reached & difficult[best]] = IGNORED
    candidates = np.flatnonzero(reached & ~difficult[best])
    # The first to reach a box is the best scored one.
    first = np.unique(best[candidates], return_index=True)[1]
    outcomes[candidates[first]] = TRUE_POSITIVE
    return outcomes


def count_matches(
    levels: NDArray[np.int64],
    boxes_xyxy: NDArray[np.number],
    truth: GroundTruth,
    label: int,
    iou: float,
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(T,) true and (T,) false positives of one class in one image at each of T cut-offs.

    Each cut-off is matched on its own as `match` does.

    Args:
        levels: (M,) index of each detection's cut-off, ascending.
        boxes_xyxy: (M, 4); of each cut-off the best score first.
        count: T.
    """
    if unjudged(truth, label):
        return np.zeros(count, np.int64), np.zeros(count, np.int64)
    overlaps, difficult = _overlaps(boxes_xyxy, truth, label)
    true, false = _count(levels, overlaps, difficult, iou, count)
    return true, false


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(
    levels: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    difficult: NDArray[np.bool_],
    iou: float,
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    true, false = np.zeros(count, np.int64), np.zeros(count, np.int64)
    taken = np.zeros(len(difficult), np.bool_)
    for i in range(len(levels)):
        if i == 0 or levels[i] != levels[i - 1]:
            taken[:] = False
        best, hard = -1, False
        for g in range(len(difficult)):
            if overlaps[i, g] < iou:
                continue
            if difficult[g]:
                hard = True
            elif not taken[g] and (best < 0 or overlaps[i, g] > overlaps[i, best]):
                best = g
        if best >= 0:
            taken[best] = True
            true[levels[i]] += 1
        elif not hard:
            false[levels[i]] += 1
    return true, false


def unjudged(truth: GroundTruth, label: int) -> bool:
    """A class that is in the image but has no boxes there says nothing about a box."""
    named = label in truth.labels or label in truth.difficult_labels
    return named and not (truth.box_labels == label).any()


def _overlaps(
    boxes_xyxy: NDArray[np.number],
    truth: GroundTruth,
    label: int,
    widths: BoxWidths = "half_open",
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    of_class = truth.box_labels == label
    overlaps = iou_matrix(boxes_xyxy, truth.boxes_xyxy[of_class], widths)
    return overlaps, ~truth.box_required[of_class]
