"""Small pictures of a review: thumbnails, and heat maps to lay over them."""

from __future__ import annotations

import base64
import io

import cv2
import matplotlib as mpl
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from workloads.localization.cutoffs import Cutoffs
from workloads.localization.maps import in_unit, upsample

SIDE = 512  # pixels of a thumbnail's longer side, at most
HEAT_SIDE = 64  # and of a heat map's, which the browser enlarges
_QUALITY = 80
_LEVELS = 64  # shades of a heat map; more are not seen and cost bytes
_COLOURS = "inferno"


def thumbnail(image: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 RGB as JPEG; a small image keeps its size."""
    height, width = _within(image.shape[:2], SIDE)
    if (height, width) != image.shape[:2]:
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=_QUALITY, colorsubsampling="420"
    )
    return data


def heat_uri(raw: NDArray[np.float32], cutoffs: Cutoffs) -> str:
    """An (h, w) map as a URL that holds a PNG: the hotter, the brighter and the less transparent.

    The browser enlarges it with half-pixel centres, so a map whose corner pixels belong in the
    corners of the image is enlarged here.
    """
    heat = in_unit(raw, cutoffs.relative_to)
    height, width = _within(heat.shape, HEAT_SIDE)
    if cutoffs.align_corners:
        height, width = (HEAT_SIDE, HEAT_SIDE)
    if (height, width) != heat.shape:
        heat = upsample(heat, width, height, align_corners=cutoffs.align_corners)
    levels = np.rint(np.clip(heat, 0, 1) * (_LEVELS - 1)).astype(np.uint8)
    picture = Image.fromarray(levels)
    picture.putpalette(_palette().tobytes())
    data = io.BytesIO()
    picture.save(data, "PNG", optimize=True, transparency=_opacity().tobytes())
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def _within(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Height and width with a longer side of at most `side`."""
    height, width = shape
    factor = min(1.0, side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _palette() -> NDArray[np.uint8]:
    colours = mpl.colormaps[_COLOURS](np.linspace(0, 1, _LEVELS))[:, :3]
    return np.asarray(np.rint(colours * 255), dtype=np.uint8)


def _opacity() -> NDArray[np.uint8]:
    """As of the project's other maps: 0.25 where it is cold to 0.75 where it is hot."""
    return np.rint(np.linspace(0.25, 0.75, _LEVELS) * 255).astype(np.uint8)
