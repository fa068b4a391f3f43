"""The pixels that the boxes of a class are drawn around."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.localization.class_boxes import level_of, maps_to_cut
from workloads.localization.cutoffs import Cutoffs


def foreground(
    raws: Sequence[NDArray[np.float32]], width: int, height: int, cutoffs: Cutoffs, label: int
) -> NDArray[np.bool_]:
    """(H, W) foreground of a class in the upright image, of any of its scales.

    A map that is cut at its own size is brought to that of the image by nearest neighbours.

    Args:
        raws: (h, w) map of each scale, the main one first.
    """
    found = np.zeros((height, width), np.bool_)
    for cut in maps_to_cut(raws, width, height, cutoffs):
        above = cut.map01 > level_of(cut.map01, cutoffs, label)
        if above.shape != found.shape:
            sized = cv2.resize(
                above.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
            )
            above = sized.astype(np.bool_)
        found |= above
    return found
