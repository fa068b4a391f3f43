"""The evaluation toolkit's thresholds of a map in one pass against its loop with OpenCV.

# H W map size, T thresholds, N boxes, G ground-truth boxes
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import interleaved
from workloads.benchmarks.samples import (
    BLOB_FIELDS,
    RANDOM_FIELDS,
    REPEATS,
    SIZE,
    Sample,
    make_samples,
    one_thread,
)
from workloads.localization.boxes import best_iou_per_box
from workloads.localization.contour_protocol import (
    ContourSweep,
    contour_sweep,
    protocol_boxes,
    protocol_taus,
    quantized,
)

DELTAS = (0.3, 0.5, 0.7)


class Input(NamedTuple):
    """(H, W) uint8 map and (G, 4) int boxes, as the toolkit's loop gets them."""

    levels: NDArray[np.uint8]
    boxes: NDArray[np.int64]


class Contours(NamedTuple):
    """(N, 4) rectangles x, y, width, height at one threshold; the largest contour's index."""

    rectangles: list[tuple[int, int, int, int]]
    largest: int


def compare_contours(extent: Extent = "usual") -> dict[str, object]:
    """MaxBoxAcc and MaxBoxAccV2 of `wsolevaluation` at 1,000 thresholds: one pass against its loop.

    Both run on one thread over the maps and boxes of the benchmark "cutoffs", as uint8 and int.
    Like the toolkit the loop asks OpenCV for the contours at each of the 1,000 thresholds,
    though at most 255 differ. It is the fastest form found: both metrics come from the same
    contours, and all boxes are compared with the ground truth at once.

    Returns:
        `ratio` loop / sweep; `sweep_ms` and `loop_ms` per map; `maps`; `max_difference` of any
        IoU; `identical_counts` whether both hit the same boxes at IoU .3, .5 and .7, at every
        threshold, for both metrics.
    """
    inputs = [_input(sample) for sample in make_samples(0, RANDOM_FIELDS, BLOB_FIELDS)]
    taus = protocol_taus()
    with one_thread():
        sweeps = [contour_sweep(*one, taus) for one in inputs]  # compiles, too
        loops = [loop_sweep(*one, taus) for one in inputs]
        rounds = interleaved(
            {
                "sweep": lambda: [contour_sweep(*one, taus) for one in inputs],
                "loop": lambda: [loop_sweep(*one, taus) for one in inputs],
            },
            REPEATS[extent],
        )
    return {
        "name": "contours",
        "ratio": rounds.ratio("loop", "sweep"),
        **{f"{way}_ms": ms / len(inputs) for way, ms in rounds.ms().items()},
        "maps": len(inputs),
        "max_difference": max(map(_difference, sweeps, loops)),
        "identical_counts": all(map(_same_hits, sweeps, loops)),
    }


def loop_sweep(
    levels: NDArray[np.uint8], gt_boxes: NDArray[np.int64], taus: NDArray[np.float64]
) -> ContourSweep:
    """Result of `contour_sweep`, computed one threshold after the other."""
    rectangles: list[tuple[int, int, int, int]] = []
    starts, largest, top = [], [], levels.max()
    for tau in taus:
        found = contours_above(levels, int(tau * top))
        starts.append(len(rectangles))
        largest.append(len(rectangles) + found.largest)
        rectangles += found.rectangles
    height, width = levels.shape
    boxes = clipped_boxes(np.array(rectangles), width, height)
    iou = best_iou_per_box(boxes, gt_boxes, "plus_one")
    return ContourSweep(iou[largest], np.maximum.reduceat(iou, starts), boxes[largest])


def contours_above(levels: NDArray[np.uint8], cut: int) -> Contours:
    """All contours, those of holes too; without any there is one rectangle of nothing."""
    _, mask = cv2.threshold(levels, cut, 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return Contours([(0, 0, 0, 0)], 0)
    areas = [cv2.contourArea(contour) for contour in contours]
    return Contours([cv2.boundingRect(contour) for contour in contours], areas.index(max(areas)))


def clipped_boxes(rectangles: NDArray[np.integer], width: int, height: int) -> NDArray[np.int64]:
    """(N, 4) rectangles x, y, width, height to corners, the far ones at most the last pixel's."""
    low = rectangles[:, :2]
    high = np.minimum(low + rectangles[:, 2:], [width - 1, height - 1])
    return np.concatenate([low, high], axis=1).astype(np.int64)


def _input(sample: Sample) -> Input:
    return Input(quantized(sample.map01), protocol_boxes(sample.boxes_xyxy, SIZE, SIZE))


def _difference(a: ContourSweep, b: ContourSweep) -> float:
    largest = np.abs(a.largest_iou - b.largest_iou).max()
    return float(max(largest, np.abs(a.best_iou - b.best_iou).max()))


def _same_hits(a: ContourSweep, b: ContourSweep) -> bool:
    return all(
        bool(((a.largest_iou >= delta) == (b.largest_iou >= delta)).all())
        and bool(((a.best_iou >= delta) == (b.best_iou >= delta)).all())
        for delta in DELTAS
    )
