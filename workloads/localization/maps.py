"""From a network's small map to a map in the frame of the image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.localization.cutoffs import RelativeTo


def upsample(
    raw: NDArray[np.float32], width: int, height: int, *, align_corners: bool = False
) -> NDArray[np.float32]:
    """(h, w) map to (height, width), bilinear.

    A constant map stays constant to the last bit: rounding would become boxes when normalised.

    Args:
        align_corners: the centres of the corner pixels of both meet; else their edges do
            (half-pixel centres).
    """
    if raw.min() == raw.max():
        return np.full((height, width), raw.flat[0], dtype=np.float32)
    if align_corners:
        down, across = _aligned(raw.shape[0], height), _aligned(raw.shape[1], width)
        return np.asarray(down @ raw.astype(np.float64) @ across.T, dtype=np.float32)
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


def in_unit(raw: NDArray[np.float32], relative_to: RelativeTo) -> NDArray[np.float32]:
    """A raw map to [0, 1] in the unit of a cut-off; a constant map becomes all zeros.

    Args:
        relative_to: see `Cutoffs`. With "max" a map that is nowhere positive has no foreground.
    """
    if relative_to == "range" or not raw.max() > raw.min():
        return normalize(raw)
    most = max(float(raw.max()), 0.0) if relative_to == "max" else 1.0
    if not most > 0:
        return np.zeros_like(raw, dtype=np.float32)
    return np.asarray(np.clip(raw / np.float32(most), 0, 1), dtype=np.float32)


def _aligned(size: int, to_size: int) -> NDArray[np.float64]:
    """(to_size, size) weights of linear interpolation from corner to corner."""
    place = np.arange(to_size) * ((size - 1) / max(to_size - 1, 1))
    weights: NDArray[np.float64] = np.clip(1 - np.abs(place[:, None] - np.arange(size)), 0, None)
    return weights
