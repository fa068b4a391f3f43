"""Boxes of one threshold of a map, and how boxes overlap.

# N M G boxes, H W map size
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

BoxRule = Literal["largest", "all"]
BoxWidths = Literal["half_open", "plus_one"]


class HeatBoxes(NamedTuple):
    """Boxes of the foreground of a map.

    Attributes:
        boxes_xyxy: (N, 4) float32 half-open, pixels of the map, in raster order of the
            components' first pixels.
        heat: (N,) float32 maximal heat inside each component.
    """

    boxes_xyxy: NDArray[np.float32]
    heat: NDArray[np.float32]


def boxes_at(map01: NDArray[np.float32], cutoff: float, rule: BoxRule) -> HeatBoxes:
    """Bounding boxes of the 8-connected components strictly above the cut-off.

    Args:
        map01: (H, W) float32; the comparison is made in float32, as in `component_tree`.
        rule: "largest" keeps the component with the most pixels (of equals the one whose first
            pixel in raster order comes first), "all" keeps every one.

    Without foreground there are no boxes.
    """
    mask = (map01 > np.float32(cutoff)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        return HeatBoxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    if rule == "largest":
        kept = np.array([_largest(labels, stats)])
        heat = np.array([map01[labels == kept[0]].max()], np.float32)
    else:
        kept = np.arange(1, count)[np.argsort(_first_pixels(labels, count)[1:])]
        heat = _peaks(map01, labels, count)[kept]
    return HeatBoxes(_corners(stats[kept]), heat)


def largest_boxes_at(
    map01: NDArray[np.float32], cutoff: float, count: int
) -> NDArray[np.float32]:
    """(N, 4) boxes of at most `count` components with the most pixels, the largest first.

    As `boxes_at` finds them; of equally large ones that comes first whose first pixel in raster
    order does.
    """
    mask = (map01 > np.float32(cutoff)).astype(np.uint8)
    components, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    first_pixels = _first_pixels(labels, components)[1:]
    by_area = np.lexsort((first_pixels, -stats[1:, cv2.CC_STAT_AREA]))
    return _corners(stats[1:][by_area[:count]])


def iou_matrix(
    a: NDArray[np.number], b: NDArray[np.number], widths: BoxWidths = "half_open"
) -> NDArray[np.float64]:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4); empty boxes give 0.

    Args:
        widths: "half_open" for x1 - x0, "plus_one" for x1 - x0 + 1 (ILSVRC's own code).
    """
    ours, theirs = a.astype(np.float64), b.astype(np.float64)
    if widths == "plus_one":
        inclusive = np.array([0.0, 0.0, 1.0, 1.0])
        ours, theirs = ours + inclusive, theirs + inclusive
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    inter: NDArray[np.float64] = np.clip(high - low, 0.0, None).prod(axis=2)
    union = _areas(ours)[:, None] + _areas(theirs)[None, :] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def best_iou_per_box(
    boxes_xyxy: NDArray[np.number],
    gt_boxes_xyxy: NDArray[np.number],
    widths: BoxWidths = "half_open",
) -> NDArray[np.float64]:
    """(N,) best IoU of each box with any ground-truth box; 0 without ground truth."""
    overlaps = iou_matrix(boxes_xyxy, gt_boxes_xyxy, widths)
    best: NDArray[np.float64] = overlaps.max(axis=1, initial=0.0)
    return best


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def _corners(stats: NDArray[np.int32]) -> NDArray[np.float32]:
    x, y, w, h = stats[:, :4].T
    return np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)


def _largest(labels: NDArray[np.int32], stats: NDArray[np.int32]) -> int:
    """OpenCV numbers components by blocks, not by pixels, so ties are settled here."""
    areas = stats[1:, cv2.CC_STAT_AREA]
    tied = np.flatnonzero(areas == areas.max()) + 1
    if len(tied) == 1:
        return int(tied[0])
    return int(tied[np.argmin(_first_pixels(labels, len(stats))[tied])])


def _first_pixels(labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """(count,) raster index of the first pixel of each label."""
    first = np.full(count, labels.size)
    np.minimum.at(first, labels.ravel(), np.arange(labels.size))
    return first


def _peaks(
    map01: NDArray[np.float32], labels: NDArray[np.int32], count: int
) -> NDArray[np.float32]:
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, labels.ravel(), map01.ravel())
    return peaks
