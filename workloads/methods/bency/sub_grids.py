"""Parts of feature maps and of images, resized to what a network takes (Bency, section 3.3).

Bilinear throughout, with half-pixel centres: position i of a map covers [i, i + 1).

Shapes: N parts, P maps or images they are parts of, C channels, h w size of a map, L side of the
result, H W size of an image.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def resized_sub_grids(
    maps: Tensor, owners: Tensor, boxes: NDArray[np.float64], side: int
) -> Tensor:
    """(N, C, L, L) interpolations of sub-grids over the whole grid.

    An axis with fewer positions than L is interpolated bilinearly, beyond the centre of the
    outermost position by its value. An axis with more is averaged, each result over the equal
    part of the sub-grid that it stands for, so that no activation is passed over: 8 positions
    become 4 as means of pairs. Nothing outside of a sub-grid has a part in it.

    Args:
        maps: (P, C, h, w).
        owners: (N,) int64, row of `maps` that a sub-grid is of.
        boxes: (N, 4), x0, y0, x1, y1, whole numbers, half-open, not empty.
        side: L.
    """
    weights = torch.from_numpy(_weights(boxes, maps.shape[2], maps.shape[3], side)).to(maps)
    resized: Tensor = maps.flatten(2)[owners] @ weights.mT
    return resized.view(len(boxes), -1, side, side)


def same_sub_grids(maps: Tensor, boxes: NDArray[np.float64], side: int) -> Tensor:
    """(P, N, C, L, L) the same N sub-grids of every map, as `resized_sub_grids` has them.

    Args:
        maps: (P, C, h, w).
        boxes: (N, 4).
    """
    weights = torch.from_numpy(_weights(boxes, maps.shape[2], maps.shape[3], side)).to(maps)
    resized: Tensor = maps.flatten(2) @ weights.flatten(0, 1).T
    return resized.view(*resized.shape[:2], len(boxes), side, side).transpose(1, 2)


def _weights(boxes: NDArray[np.float64], height: int, width: int, side: int) -> NDArray[np.float64]:
    """(N, L * L, h * w): one product, where an axis at a time needs two and a transposition."""
    x0, y0, x1, y1 = boxes.T
    down, across = axis_weights(y0, y1, height, side), axis_weights(x0, x1, width, side)
    both = down[:, :, None, :, None] * across[:, None, :, None, :]
    return both.reshape(len(boxes), side * side, height * width)


def axis_weights(
    starts: NDArray[np.float64], stops: NDArray[np.float64], size: int, side: int
) -> NDArray[np.float64]:
    """(N, L, size) weights by which `side` results are made of positions starts to stops - 1."""
    lengths = (stops - starts)[:, None, None]
    position = np.arange(size)[None, None, :]
    result = np.arange(side)[None, :, None]
    first = starts[:, None, None]
    centre = np.clip(first + (result + 0.5) * lengths / side - 0.5, first, first + lengths - 1)
    interpolated = np.clip(1 - np.abs(position - centre), 0, None)
    low, high = first + result * lengths / side, first + (result + 1) * lengths / side
    overlap = np.clip(np.minimum(position + 1, high) - np.maximum(position, low), 0, None)
    weights: NDArray[np.float64] = np.where(lengths > side, overlap * side / lengths, interpolated)
    return weights


def crops(images: Tensor, owners: Tensor, boxes: NDArray[np.float64]) -> Tensor:
    """(N, C, H, W) rectangles of images, magnified to the images' own size (equation 5).

    The centre of result pixel (i, j) is a point in the rectangle; its value is interpolated from
    the four pixels around that point, those outside of the rectangle among them. Beyond the
    centres of the image's outermost pixels their values hold.

    Args:
        images: (P, C, H, W).
        owners: (N,) int64, row of `images` that a rectangle is of.
        boxes: (N, 4), x0, y0, x1, y1 as shares of width and height, in [0, 1].
    """
    height, width = images.shape[2:]
    x0, y0, x1, y1 = (torch.from_numpy(side)[:, None] for side in boxes.T)
    x = x0 + (torch.arange(width) + 0.5) / width * (x1 - x0)
    y = y0 + (torch.arange(height) + 0.5) / height * (y1 - y0)
    # grid_sample's own frame is [-1, 1] from edge to edge.
    across, down = (2 * x - 1).to(images), (2 * y - 1).to(images)
    frame = torch.stack(
        [
            across[:, None, :].expand(-1, height, -1),
            down[:, :, None].expand(-1, -1, width),
        ],
        dim=3,
    )
    return F.grid_sample(images[owners], frame, padding_mode="border", align_corners=False)
