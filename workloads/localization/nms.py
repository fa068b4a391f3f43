"""Non-maximum suppression: of boxes that overlap too much the hottest stays.

# N boxes
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workloads.localization.boxes import HeatBoxes


def suppress(found: HeatBoxes, iou: float) -> NDArray[np.bool_]:
    """(N,) which boxes stay.

    Boxes are taken from the hottest on, of equals the one with the larger area first, then the
    one that comes first among `found`. Each that is still there removes all later ones with at
    least that IoU. Box areas are half-open, as in `boxes.iou_matrix`.
    """
    # The last key of a lexsort is the first to count, and the sort is stable.
    order = np.lexsort((-found.areas, -found.heat))
    kept: NDArray[np.bool_] = _greedy(found.boxes_xyxy.astype(np.float64), order, iou)
    return kept


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _greedy(
    boxes: NDArray[np.float64], order: NDArray[np.int64], threshold: float
) -> NDArray[np.bool_]:
    """One pair at a time: a noisy map has thousands of components, too many for a matrix."""
    kept = np.ones(len(boxes), np.bool_)
    for position, i in enumerate(order):
        if not kept[i]:
            continue
        area = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
        for j in order[position + 1 :]:
            width = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            height = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            if width > 0 and height > 0:
                inter = width * height
                other = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
                if inter / (area + other - inter) >= threshold:
                    kept[j] = False
    return kept
