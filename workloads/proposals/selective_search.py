"""Selective search (Uijlings et al. 2013) with OpenCV, the same for the same pixels.

Shapes: H W size of an image, R regions.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

SearchMode = Literal["fast", "quality"]


def selective_search(
    image: NDArray[np.uint8], mode: SearchMode, longer_side: int, min_side: int
) -> NDArray[np.float32]:
    """Bounding boxes of regions that may hold an object.

    An image in which nothing is found (a plain one, or one of a pixel's width) has itself as its
    only region. Equal images have equal boxes, in threads too.

    Args:
        image: (H, W, 3) uint8 upright RGB.
        mode: which of the authors' combinations of colour spaces and similarities.
        longer_side: to which the image is scaled, in pixels. Small images are enlarged: what the
            search starts from are segments of a fixed number of pixels.
        min_side: shortest side of a region, in those pixels.

    Returns:
        (R, 4) float32 boxes_xyxy, half-open, pixels of `image`, best first, at least one, all
        different.
    """
    height, width = image.shape[:2]
    scaled = _scaled(image, longer_side)
    found = _search(scaled, mode)
    found = found[(found[:, 2:] - found[:, :2]).min(axis=1) >= min_side]
    if not len(found):
        return np.array([[0, 0, width, height]], np.float32)
    scale = np.array([width / scaled.shape[1], height / scaled.shape[0]] * 2)
    boxes: NDArray[np.float32] = (_ranked(found) * scale).astype(np.float32)
    return boxes


def _scaled(image: NDArray[np.uint8], longer_side: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    factor = longer_side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)


def _search(image: NDArray[np.uint8], mode: SearchMode) -> NDArray[np.int64]:
    """(R, 4) different boxes in lexical order.

    OpenCV ranks them with random numbers that no seed of its own controls; only the set of boxes
    is the same every time.
    """
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(image[:, :, ::-1]))  # OpenCV means BGR
    if mode == "fast":
        search.switchToSelectiveSearchFast()
    else:
        search.switchToSelectiveSearchQuality()
    boxes = np.unique(search.process(), axis=0).astype(np.int64)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _ranked(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Best first: the rank by area, largest first, times a random number in [0, 1).

    That is how the paper combines its hierarchies, with the area in place of the level in one,
    and with the same random numbers for every image. Large regions lead, but a short list holds
    others too.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    rank = np.empty(len(boxes))
    rank[np.argsort(-area, kind="stable")] = np.arange(1, len(boxes) + 1)
    drawn = rank * np.random.default_rng(0).random(len(boxes))
    ranked: NDArray[np.int64] = boxes[np.argsort(drawn, kind="stable")]
    return ranked
