"""Parts of an image as the network's input, at the image's own resolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.images.decode import Fit, resize_padded, resize_square


def frame(image: NDArray[np.uint8], fit: Fit, padding: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of what a network's input shows, in pixels of the image.

    With fit "pad" that is the image with its padding, a square; else the image.
    """
    return image if fit == "warp" else resize_padded(image, max(image.shape[:2]), padding)


def crop(framed: NDArray[np.uint8], shares: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """A part of what `frame` gives, scaled to (size, size, 3) as whole images are.

    Args:
        shares: (4,) x0, y0, x1, y1 as shares of width and height, in [0, 1], not empty. The part
            is of whole pixels, at least one, whose edges are nearest to these.
    """
    height, width = framed.shape[:2]
    x0, y0, x1, y1 = np.rint(shares * (width, height, width, height)).astype(np.int64)
    left, top = min(x0, width - 1), min(y0, height - 1)
    right, bottom = max(x1, left + 1), max(y1, top + 1)
    return resize_square(np.ascontiguousarray(framed[top:bottom, left:right]), size)
