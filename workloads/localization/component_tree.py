"""Every threshold of a map in one pass: a component tree.

Pixels join in descending order; a union-find over components keeps area and bounding box.
Components are 8-connected, as OpenCV's contours are. The largest component after each level is
known at once. "The best IoU of any component" needs more care: a bounding box lives for an
interval of thresholds, so its IoU is computed once, when the box changes, and written to the
whole interval with two entries of a sparse table that is pushed down at the end. The cost is
O(pixels + boxes x ground truth + K log K) instead of K labellings.

# H W map size, K thresholds, G ground-truth boxes, C components
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.localization import component_kernels
from workloads.localization.boxes import best_iou_per_box
from workloads.localization.cutoffs import DEFAULT_THRESHOLDS


class Sweep(NamedTuple):
    """Largest component and best IoU at each of K thresholds.

    Attributes:
        largest_xyxy: (K, 4) int32 half-open box of the component with the largest area, pixels
            of the map; of equals the one whose first pixel in raster order comes first; zeros
            where nothing is foreground.
        largest_area: (K,) int32 pixels of that component.
        best_iou: (K,) float64 best IoU of any component's box with any ground-truth box.
    """

    largest_xyxy: NDArray[np.int32]
    largest_area: NDArray[np.int32]
    best_iou: NDArray[np.float64]


def even_thresholds(count: int = DEFAULT_THRESHOLDS) -> NDArray[np.float32]:
    """(K,) thresholds k / K for k = 0 .. K-1, rounded to float32 as NumPy rounds `k / K`.

    So `map01 > k / K` on a float32 map and this table agree exactly.
    """
    return (np.arange(count) / count).astype(np.float32)


def quantize(map01: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.int32]:
    """(H, W) number of thresholds that each pixel exceeds, exactly as `map01 > thresholds[k]`.

    NaN exceeds nothing.

    Raises:
        ValueError: the map is not two-dimensional or empty, or thresholds do not ascend strictly.
    """
    if map01.ndim != 2 or map01.size == 0:
        raise ValueError(f"map must be (H, W) and not empty, given shape {map01.shape}")
    if thresholds.ndim != 1 or len(thresholds) == 0 or not (np.diff(thresholds) > 0).all():
        raise ValueError("thresholds must be (K,), K >= 1, and ascend strictly")
    levels: NDArray[np.int32] = component_kernels.quantize(
        np.ascontiguousarray(map01), thresholds.astype(np.float64)
    )
    return levels


def sweep(
    map01: NDArray[np.floating],
    thresholds: NDArray[np.floating],
    gt_boxes_xyxy: NDArray[np.floating] | None = None,
) -> Sweep:
    """Largest component and best IoU at every threshold; foreground is strictly above it.

    Args:
        map01: (H, W) float32 or float64.
        thresholds: (K,) strictly ascending; `even_thresholds` as a rule.
        gt_boxes_xyxy: (G, 4) half-open boxes in pixels of the map; without any the IoU is 0.

    Raises:
        ValueError: as `quantize`.
    """
    levels = quantize(map01, thresholds)
    boxes = np.zeros((0, 4)) if gt_boxes_xyxy is None else gt_boxes_xyxy
    largest, area, best = component_kernels.sweep(
        levels, len(thresholds), boxes.astype(np.float64).reshape(-1, 4)
    )
    return Sweep(largest, area, best)


class Components(NamedTuple):
    """All components at each of K thresholds, M of them together.

    Attributes:
        levels: (M,) int64 index of the threshold, ascending; within one in raster order of their
            first pixels.
        boxes_xyxy: (M, 4) int32 half-open, pixels of the map.
        heat: (M,) float32 maximal heat.
        areas: (M,) int64 pixels.
    """

    levels: NDArray[np.int64]
    boxes_xyxy: NDArray[np.int32]
    heat: NDArray[np.float32]
    areas: NDArray[np.int64]


def all_components(map01: NDArray[np.float32], thresholds: NDArray[np.floating]) -> Components:
    """Every component at every threshold, as `boxes.boxes_at` finds them at one.

    Raises:
        ValueError: as `quantize`.
    """
    levels, heat = quantize(map01, thresholds), np.ascontiguousarray(map01)
    rows, hottest = component_kernels.components(levels, heat, len(thresholds))
    order = np.lexsort((rows[:, 1], rows[:, 0]))
    wide = rows[order].astype(np.int64)
    return Components(wide[:, 0], rows[order, 3:], hottest[order], wide[:, 2])


def largest_boxes(
    map01: NDArray[np.floating], thresholds: NDArray[np.floating]
) -> NDArray[np.int32]:
    """(K, 4) half-open box of the largest component at each threshold, see `Sweep`."""
    return sweep(map01, thresholds).largest_xyxy


def best_iou(
    map01: NDArray[np.floating],
    thresholds: NDArray[np.floating],
    gt_boxes_xyxy: NDArray[np.floating],
) -> NDArray[np.float64]:
    """(K,) best IoU over all components and all ground-truth boxes at each threshold."""
    return sweep(map01, thresholds, gt_boxes_xyxy).best_iou


def largest_iou(
    map01: NDArray[np.floating],
    thresholds: NDArray[np.floating],
    gt_boxes_xyxy: NDArray[np.floating],
) -> NDArray[np.float64]:
    """(K,) IoU of the largest component's box with the best ground-truth box."""
    return best_iou_per_box(largest_boxes(map01, thresholds), gt_boxes_xyxy)
