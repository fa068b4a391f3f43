"""Points from maps, and whether a point lies in a box."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

ToleranceShape = Literal["square", "disc"]


def peak(map01: NDArray[np.float32]) -> tuple[float, float]:
    """(x, y) centre of the hottest pixel of an (H, W) map; of equals the first in raster order.

    A constant map has its peak in the first pixel.
    """
    y, x = np.unravel_index(int(np.argmax(map01)), map01.shape)
    return float(x) + 0.5, float(y) + 0.5


def point_in_boxes(
    point: tuple[float, float],
    boxes_xyxy: NDArray[np.floating],
    tolerance: float,
    shape: ToleranceShape,
) -> NDArray[np.bool_]:
    """(N,) whether a point lies in each half-open box or within the tolerance of it.

    Args:
        point: (x, y); the centre of pixel (i, j) is (i + 0.5, j + 0.5).
        boxes_xyxy: (N, 4).
        tolerance: pixels; 0 means inside.
        shape: "square" grows the box by the tolerance on every side (SPN's code); "disc" asks
            for a pixel of the box whose centre is closer than the tolerance (TorchRay's and
            Excitation Backprop's pointing game).
    """
    if shape == "square":
        return _inside(point, boxes_xyxy, tolerance)
    x, y = point
    x0, y0, x1, y1 = boxes_xyxy.astype(np.float64).T
    dx = np.maximum(0.0, np.maximum(x0 + 0.5 - x, x - (x1 - 0.5)))
    dy = np.maximum(0.0, np.maximum(y0 + 0.5 - y, y - (y1 - 0.5)))
    near: NDArray[np.bool_] = dx**2 + dy**2 < tolerance**2
    return near | _inside(point, boxes_xyxy, 0.0)


def _inside(
    point: tuple[float, float], boxes_xyxy: NDArray[np.floating], margin: float
) -> NDArray[np.bool_]:
    x, y = point
    x0, y0, x1, y1 = boxes_xyxy.astype(np.float64).T
    inside: NDArray[np.bool_] = (
        (x0 - margin <= x) & (x < x1 + margin) & (y0 - margin <= y) & (y < y1 + margin)
    )
    return inside
