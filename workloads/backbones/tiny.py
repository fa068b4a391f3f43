"""A small backbone for CPUs: the default of the embedded benchmark.

Shapes: B batch, C channels, H W size of the input.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.backbones.base import Backbone, Stage
from workloads.backbones.fully_connected import slide
from workloads.backbones.initialisation import initialise

# (output channels, stride) of each 3x3 convolution. Nearly all work is done at stride 4: that keeps
# a training step near two milliseconds per 64x64 image on one core, and lets the last layer see
# 31 pixels, about a digit of the embedded benchmark.
LAYERS = ((32, 2), (64, 2), (64, 1), (128, 1), (128, 1))
NAMES = tuple(f"conv{i}" for i in range(1, len(LAYERS) + 1))
LAYERS_PER_STAGE = 3


class Tiny(Backbone):
    """Five 3x3 convolutions with batch normalisation and ReLU, stride 4 in all.

    Takes any H and W (16 is the least that leaves a useful map); a size that 4 does not divide
    is rounded up, so the map is ceil(H / 4) x ceil(W / 4). With fully connected layers: one
    pooling more, and two layers over 4x4 windows, 32 pixels: the size of a single digit.
    """

    name: ClassVar[str] = "tiny"
    out_channels: ClassVar[int] = LAYERS[-1][0]
    stride: ClassVar[int] = 4
    input_size: ClassVar[int] = 64
    stage_channels: ClassVar = dict(zip(NAMES, (channels for channels, _ in LAYERS), strict=True))
    blocks = ("conv1", "conv5")
    has_fully_connected: ClassVar[bool] = True
    grid: ClassVar[int] = 4
    hidden_channels: ClassVar[int] = 256

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__(fully_connected=fully_connected)
        layers: list[nn.Module] = []
        channels = (3, *(out for out, _ in LAYERS))
        for (before, after), (_, stride) in zip(pairwise(channels), LAYERS, strict=True):
            layers += _block(before, after, stride)
        self.features = nn.Sequential(*layers)
        if fully_connected:
            self.fc1 = _linear(self.out_channels * self.grid**2, self.hidden_channels)
            self.fc2 = _linear(self.hidden_channels, self.hidden_channels)

    def stages(self) -> dict[str, Stage]:
        """One for each convolution."""
        layers, step = self.features, LAYERS_PER_STAGE
        found: dict[str, Stage] = {
            n: layers[i * step : (i + 1) * step] for i, n in enumerate(NAMES)
        }
        if self.fully_connected:
            last = layers[-step:]
            found[NAMES[-1]] = lambda features: F.max_pool2d(last(features), 2, ceil_mode=True)
        return found

    def hidden(self, features: Tensor) -> Tensor:
        """Two layers with ReLU over every 4x4 window."""
        if not self.fully_connected:
            return super().hidden(features)
        return F.relu(slide(self.fc2, F.relu(slide(self.fc1, features, self.grid)), 1))

    def ignored_weights(self) -> frozenset[str]:
        """Without fully connected layers: those of a network that has them."""
        names = [f"{layer}.{kind}" for layer in ("fc1", "fc2") for kind in ("weight", "bias")]
        return frozenset() if self.fully_connected else frozenset(names)


def _block(channels: int, out: int, stride: int) -> list[nn.Module]:
    # Batch normalisation has its own bias, so the convolution needs none.
    convolution = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
    return [initialise(convolution), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer
