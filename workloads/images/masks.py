"""Masks of an image's class, for metrics that count pixels: PNG in the shards, arrays here."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.images.decode import ImageLimits, decode_grey

BACKGROUND, FOREGROUND, IGNORED = 0, 1, 255
FRAME = 224


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """(H, W) uint8 of BACKGROUND, FOREGROUND and IGNORED to PNG bytes.

    Raises:
        ValueError: another shape, type or value.
    """
    if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
        raise ValueError(f"mask is {mask.dtype} {mask.shape}; give uint8 (H, W), not empty")
    if not np.isin(mask, (BACKGROUND, FOREGROUND, IGNORED)).all():
        raise ValueError("mask has other values than 0, 1 and 255")
    done, data = cv2.imencode(".png", mask)
    if not done:
        raise ValueError(f"mask of {mask.shape} cannot be written as PNG")
    return bytes(data)


def decode_mask(data: bytes, limits: ImageLimits | None = None) -> NDArray[np.uint8]:
    """(H, W) uint8 from what `encode_mask` gave.

    Raises:
        InputRejected: not an image, or over a limit.
    """
    return decode_grey(data, limits or ImageLimits())


def combine_masks(
    foregrounds: Sequence[NDArray[np.uint8]], ignore: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """One mask from grey masks of single objects and one of what is not judged.

    Foreground is where any object's mask is not 0; of the ignore mask's pixels those outside the
    foreground are IGNORED (as OpenImages30k's evaluation has it). Masks of
    different sizes meet in that evaluation's frame, to which it resizes each of them anyway.

    Args:
        foregrounds: (H, W) uint8 each, at least one.
        ignore: (H, W) uint8 or None.

    Returns:
        (H, W) uint8, or (224, 224) of masks of different sizes.
    """
    sizes = {mask.shape for mask in (*foregrounds, *([] if ignore is None else [ignore]))}
    if len(sizes) != 1:
        foregrounds = [resize_mask(mask, FRAME) for mask in foregrounds]
        ignore = None if ignore is None else resize_mask(ignore, FRAME)
    foreground = np.any([mask > 0 for mask in foregrounds], axis=0)
    combined = np.where(foreground, FOREGROUND, BACKGROUND).astype(np.uint8)
    if ignore is not None:
        combined[(ignore > 0) & ~foreground] = IGNORED
    return combined


def resize_mask(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(H, W) to (size, size), nearest pixel, as the evaluation toolkit does it."""
    return np.asarray(
        cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST), dtype=np.uint8
    )
