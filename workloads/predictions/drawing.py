"""A class's map on its image, with the boxes that it gives.

Shapes: H W size of an image, h w of a map, T true boxes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.images.drawing import GREEN, ORANGE, draw_boxes, overlay
from workloads.localization.boxes import boxes_at
from workloads.localization.maps import normalize, upsample


def draw_map(
    pixels: NDArray[np.uint8],
    raw: NDArray[np.float32],
    size: tuple[int, int],
    truth_xyxy: NDArray[np.float32],
    cutoff: float,
) -> NDArray[np.uint8]:
    """An image in grey under its map, true boxes in green, that of the map in orange.

    Args:
        pixels: (H, W, 3) uint8 RGB, the image in any size.
        raw: (h, w) map, any range, in the frame of the whole image.
        size: width and height of the upright image, pixels.
        truth_xyxy: (T, 4) pixels of the upright image.
        cutoff: share of the map's range above which its largest component is boxed.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = pixels.shape[:2]
    scale = np.array([width / size[0], height / size[1]] * 2)
    found = boxes_at(normalize(upsample(raw, *size)), cutoff, "largest").boxes_xyxy
    shown = overlay(pixels, normalize(upsample(raw, width, height)))
    for boxes, colour in ((truth_xyxy, GREEN), (found, ORANGE)):
        scaled = (boxes * scale).astype(np.float32)
        shown = draw_boxes(shown, scaled, [""] * len(boxes), colour)
    return shown
