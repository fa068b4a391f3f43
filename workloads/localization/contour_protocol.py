"""The box protocol of `wsolevaluation` (Choe et al.), bit by bit, in one pass instead of a loop.

The field's numbers come from that toolkit, which differs from the exact form of the protocol
(`component_tree`): maps are squashed to 224x224 bicubically and truncated to uint8, boxes are
truncated to int and their sides counted as x1 - x0 + 1, "the largest" is the contour with the
largest polygon area, and contours of holes count as boxes. `contour_sweep` finds what its loop
over thresholds finds, to the last bit, because the toolkit's contours at every threshold follow
from three union-finds (see `contour_kernels`); at most 255 thresholds differ on a uint8 map.

# h w raw map size, H W map size, G ground-truth boxes, T thresholds
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.localization import contour_kernels

FRAME = 224
TAU_STEP = 0.001


class ContourSweep(NamedTuple):
    """Contour boxes of the toolkit and their IoU at each of T thresholds.

    Attributes:
        largest_iou: (T,) float64 IoU of the largest contour's box with the best ground-truth box
            (MaxBoxAcc, "V1").
        best_iou: (T,) float64 best IoU of any contour's box with any ground-truth box
            (MaxBoxAccV2, "V2").
        largest_xyxy: (T, 4) int64 the toolkit's box of the largest contour: x0, y0, the right and
            lower corner one beyond the last pixel but at most W - 1 and H - 1. Zeros where
            nothing is foreground.
    """

    largest_iou: NDArray[np.float64]
    best_iou: NDArray[np.float64]
    largest_xyxy: NDArray[np.int64]


def protocol_taus() -> NDArray[np.float64]:
    """(1000,) thresholds relative to the map's maximum, as the toolkit makes them."""
    return np.arange(0, 1, TAU_STEP)


def protocol_map(raw: NDArray[np.floating], frame: int = FRAME) -> NDArray[np.float64]:
    """(h, w) to (frame, frame) float64 in [0, 1]: bicubic first, then min-max.

    As the toolkit does it, in float64: float32 would leave rounding noise on a constant map, and
    normalising would make an image-filling box of it. A map that is constant or holds a NaN
    after the resize becomes all zeros.
    """
    resized = cv2.resize(
        np.ascontiguousarray(raw, dtype=np.float64), (frame, frame), interpolation=cv2.INTER_CUBIC
    )
    map01: NDArray[np.float64] = np.asarray(resized, dtype=np.float64)
    if np.isnan(map01).any() or map01.min() == map01.max():
        return np.zeros_like(map01)
    map01 -= map01.min()
    map01 /= map01.max()
    return map01


def quantized(map01: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(H, W) in [0, 1] to uint8 by truncation: only the maximum itself becomes 255."""
    levels: NDArray[np.uint8] = (map01 * 255).astype(np.uint8)
    return levels


def protocol_boxes(
    boxes_xyxy: NDArray[np.number], width: int, height: int, frame: int = FRAME
) -> NDArray[np.int64]:
    """(G, 4) boxes in pixels of a (height, width) image to int64 pixels of the frame, truncated.

    The toolkit reads corners as its metadata files have them and takes both as inclusive.
    """
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    scaled = boxes * float(frame) / np.array([width, height, width, height], np.float64)
    return scaled.astype(np.int64)


def contour_sweep(
    levels: NDArray[np.uint8], gt_boxes: NDArray[np.integer], taus: NDArray[np.floating]
) -> ContourSweep:
    """The toolkit's boxes and IoU at every threshold; foreground is `levels > int(tau * max)`.

    Args:
        levels: (H, W) uint8, see `quantized`.
        gt_boxes: (G, 4) int corners in pixels of the map, see `protocol_boxes`; without any the
            IoU is 0.
        taus: (T,) in [0, 1], in any order; `protocol_taus` as a rule.

    Raises:
        ValueError: the map is not two-dimensional, not uint8 or empty, or a threshold is not in
            [0, 1].
    """
    if levels.ndim != 2 or levels.size == 0 or levels.dtype != np.uint8:
        raise ValueError(
            f"levels must be (H, W) uint8 and not empty, given {levels.dtype} {levels.shape}"
        )
    if not ((taus >= 0) & (taus <= 1)).all():
        raise ValueError("taus must be in [0, 1]")
    boxes = np.array(gt_boxes, np.int64).reshape(-1, 4)
    largest, largest_iou, best_iou = contour_kernels.sweep(np.array(levels, order="C"), boxes)
    cuts = cuts_of(levels, taus)
    return ContourSweep(largest_iou[cuts], best_iou[cuts], largest[cuts])


def cuts_of(levels: NDArray[np.uint8], taus: NDArray[np.floating]) -> NDArray[np.int64]:
    """(T,) the integer threshold of each tau, `int(tau * max)` as the toolkit rounds it."""
    return (np.asarray(taus, np.float64) * float(levels.max())).astype(np.int64)
