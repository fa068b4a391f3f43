"""Regions: class-free boxes of an object proposal algorithm, judged by the map of a class.

# R regions, H W size of the image, T cut-offs
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import HeatBoxes

# By how much a region's mean heat has to exceed the cut-off: no region wins by rounding.
_ROUNDING = 1e-6


def best_region(
    map01: NDArray[np.float32], regions_xyxy: NDArray[np.floating], cutoff: float | np.float32
) -> HeatBoxes:
    """The region that best covers what is above the cut-off; none if no region has enough.

    A region's score is the sum of (heat - cut-off) over its pixels: class scores aggregated
    inside object proposals (Oquab, section 6), less what background costs. Without the cut-off
    the largest region would always win. Only a region whose mean heat is above the cut-off is a
    candidate; of equals the smaller one wins, then the first.

    Args:
        map01: (H, W) float32 in [0, 1].
        regions_xyxy: (R, 4) half-open, whole pixels inside the map, best first.

    Returns:
        At most one box, with the maximal heat and the number of foreground pixels inside.
    """
    boxes = best_regions(map01, regions_xyxy, np.array([cutoff], np.float32))
    x0, y0, x1, y1 = boxes[0].astype(np.int64)
    if x1 == 0:
        return HeatBoxes.none()
    inside = map01[y0:y1, x0:x1]
    foreground = np.count_nonzero(inside > np.float32(cutoff))
    return HeatBoxes(boxes, np.array([inside.max()], np.float32), np.array([foreground]))


def best_regions(
    map01: NDArray[np.float32],
    regions_xyxy: NDArray[np.floating],
    cutoffs: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(T, 4) the box of `best_region` at each of (T,) cut-offs, zeros where there is none."""
    best = np.zeros((len(cutoffs), 4), np.float32)
    if not len(regions_xyxy):
        return best
    sums, pixels = heat_in_boxes(map01, regions_xyxy)
    order = np.argsort(pixels, kind="stable")
    # A region without more heat than every smaller one is best at no cut-off: few are left.
    before = np.maximum.accumulate(np.append(-np.inf, sums[order][:-1]))
    rising = order[sums[order] > before]
    above = sums[rising] - cutoffs.astype(np.float64)[:, None] * pixels[rising]
    above[above <= _ROUNDING * pixels[rising]] = -np.inf
    winner = above.argmax(axis=1)
    found = np.isfinite(above[np.arange(len(cutoffs)), winner])
    best[found] = regions_xyxy[rising[winner[found]]]
    return best


def heat_in_boxes(
    map01: NDArray[np.float32], boxes_xyxy: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(N,) sum of an (H, W) map over each box and (N,) its pixels, by a summed-area table.

    Args:
        boxes_xyxy: (N, 4) half-open, whole pixels inside the map.
    """
    table = cv2.integral(np.ascontiguousarray(map01), sdepth=cv2.CV_64F)
    x0, y0, x1, y1 = boxes_xyxy.astype(np.int64).T
    sums: NDArray[np.float64] = table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]
    return sums, (x1 - x0) * (y1 - y0)


def coverage(boxes_xyxy: NDArray[np.floating], width: int, height: int) -> NDArray[np.float64]:
    """(height, width) how many of the (N, 4) half-open boxes, whole pixels, cover each pixel."""
    x0, y0, x1, y1 = boxes_xyxy.astype(np.int64).T
    steps = np.zeros((height + 1, width + 1))
    for rows, columns, step in ((y0, x0, 1), (y0, x1, -1), (y1, x0, -1), (y1, x1, 1)):
        np.add.at(steps, (rows, columns), step)
    return steps.cumsum(axis=0).cumsum(axis=1)[:height, :width]


def resized_regions(
    regions_xyxy: NDArray[np.floating], size: tuple[int, int], to_size: tuple[int, int]
) -> NDArray[np.float32]:
    """(R, 4) regions of an image in another size of it, rounded to whole pixels.

    Each keeps at least one pixel and stays inside.

    Args:
        size, to_size: (width, height) in pixels.
    """
    given, wanted = np.array([*size] * 2), np.array([*to_size] * 2)
    moved = np.rint(regions_xyxy.astype(np.float64) * wanted / given)
    low = np.clip(moved[:, :2], 0, wanted[:2] - 1)
    high = np.clip(moved[:, 2:], low + 1, wanted[2:])
    return np.concatenate([low, high], axis=1).astype(np.float32)
