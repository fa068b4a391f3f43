"""Fully connected layers as convolutions (Oquab et al. 2015, section 3).

Shapes: B batch, C channels, h w size of a map, L side of the map that the layers take.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.backbones.base import Backbone


def hidden_layers(backbone: Backbone, first: str, second: str) -> nn.ModuleDict:
    """fc6 and fc7 of a backbone, under the names that they have in torchvision's `classifier`."""
    inputs, hidden = backbone.out_channels * backbone.grid**2, backbone.hidden_channels
    return nn.ModuleDict({first: nn.Linear(inputs, hidden), second: nn.Linear(hidden, hidden)})


def slide(layer: nn.Module, features: Tensor, side: int) -> Tensor:
    """A linear layer over L x L windows of a map, at every position.

    Args:
        layer: an `nn.Linear` that takes C * L * L numbers, channel by channel and row by row.
        features: (B, C, h, w), h and w at least `side`.
        side: L.

    Returns:
        (B, out, h - L + 1, w - L + 1).
    """
    linear = cast(nn.Linear, layer)
    if features.shape[2:] == (side, side):
        # One window: a matrix product is several times faster than a convolution of that size.
        return F.linear(features.flatten(1), linear.weight, linear.bias)[:, :, None, None]
    kernel = linear.weight.view(linear.out_features, -1, side, side)
    return F.conv2d(features, kernel, linear.bias)
