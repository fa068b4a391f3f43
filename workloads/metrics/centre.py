"""The centre baseline: a map that is a pyramid over the middle of the image.

Its cut-offs are centred boxes of every size, so whatever a metric does to a map it can do to the
baseline. Where a metric takes the best cut-off of the split for the baseline, the baseline is
favoured: a model's cut-off is chosen on other images.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import BoxWidths, best_iou_per_box
from workloads.localization.component_tree import even_thresholds, largest_boxes


def centre_map(width: int, height: int) -> NDArray[np.float32]:
    """(height, width) pyramid in (0, 1], highest in the middle, nowhere zero.

    Above threshold t it leaves a centred box of about (1 - t) of each side; above 0 the whole
    image.
    """
    across, down = _slope(width), _slope(height)
    return np.minimum(across[None, :], down[:, None]).astype(np.float32)


def centre_iou(
    width: int,
    height: int,
    gt_boxes_xyxy: NDArray[np.floating],
    thresholds: int,
    widths: BoxWidths = "half_open",
) -> NDArray[np.float64]:
    """(T,) best IoU of the centred box of each cut-off k / T with any of the (G, 4) boxes."""
    return best_iou_per_box(_centre_boxes(width, height, thresholds), gt_boxes_xyxy, widths)


@lru_cache(maxsize=256)
def _centre_boxes(width: int, height: int, thresholds: int) -> NDArray[np.int32]:
    return largest_boxes(centre_map(width, height), even_thresholds(thresholds))


def _slope(length: int) -> NDArray[np.float64]:
    offset = np.abs(2 * np.arange(length) + 1 - length)
    return 1.0 - offset / length
