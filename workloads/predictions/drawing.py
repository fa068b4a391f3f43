"""A class's map on its image, with the boxes that it gives.

Shapes: H W size of an image, h w of a map, T true boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.images.drawing import GREEN, ORANGE, draw_boxes, overlay
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.detect import boxes_of_maps
from workloads.localization.maps import normalize, upsample


def draw_map(
    pixels: NDArray[np.uint8],
    scales: Sequence[NDArray[np.float32]],
    label: int,
    size: tuple[int, int],
    truth_xyxy: NDArray[np.float32],
    cutoffs: Cutoffs,
    regions_xyxy: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """An image in grey under its map, true boxes in green, those of the cut-offs in orange.

    Args:
        pixels: (H, W, 3) uint8 RGB, the image in any size.
        scales: (h, w) maps of a class, any range, in the frame of the whole image; the main one,
            which is shown, first.
        size: width and height of the upright image, pixels.
        truth_xyxy: (T, 4) pixels of the upright image.
        regions_xyxy: as `boxes_of_maps` takes them.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = pixels.shape[:2]
    scale = np.array([width / size[0], height / size[1]] * 2)
    found = boxes_of_maps(scales, *size, cutoffs, label, regions_xyxy)
    if cutoffs.box_rule == "largest":
        found = found.largest()
    shown = overlay(pixels, normalize(upsample(scales[0], width, height)))
    for boxes, colour in ((truth_xyxy, GREEN), (found.boxes_xyxy, ORANGE)):
        scaled = (boxes * scale).astype(np.float32)
        shown = draw_boxes(shown, scaled, [""] * len(boxes), colour)
    return shown
