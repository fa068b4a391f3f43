"""Images at several scales.

Shapes: B batch, C channels, H W size in pixels.
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def rescale(images: Tensor, scale: float, *, align_corners: bool = False) -> Tensor:
    """(B, C, H, W) to (B, C, round(scale * H), round(scale * W)), as `resize` does; at least 1."""
    height, width = (max(1, round(scale * side)) for side in images.shape[2:])
    return resize(images, height, width, align_corners=align_corners)


def resize(images: Tensor, height: int, width: int, *, align_corners: bool = False) -> Tensor:
    """(B, C, H, W) to (B, C, height, width), bilinear with antialiasing; itself if it is that.

    Args:
        align_corners: the centres of the corner pixels meet, and nothing is antialiased, as in
            torch's first versions.
    """
    if images.shape[2:] == (height, width):
        return images
    if align_corners:
        return F.interpolate(images, (height, width), mode="bilinear", align_corners=True)
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True)
