"""From a network's small map to a map in the frame of the image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def upsample(raw: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """(h, w) map to (height, width), bilinear with half-pixel centres.

    A constant map stays constant to the last bit: rounding would become boxes when normalised.
    """
    if raw.min() == raw.max():
        return np.full((height, width), raw.flat[0], dtype=np.float32)
    resized = cv2.resize(
        np.ascontiguousarray(raw, dtype=np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(resized, dtype=np.float32)


def normalize(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Min-max normalise to [0, 1]; a constant map becomes all zeros."""
    low, high = float(raw.min()), float(raw.max())
    if not high > low:
        return np.zeros_like(raw, dtype=np.float32)
    scaled: NDArray[np.float32] = ((raw - low) / (high - low)).astype(np.float32)
    return scaled
