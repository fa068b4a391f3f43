"""A small backbone for CPUs: the default of the embedded benchmark.

Shapes: B batch, C channels, H W size of the input.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.backbones.initialisation import initialise

# (output channels, stride) of each 3x3 convolution. Nearly all work is done at stride 4: that keeps
# a training step near two milliseconds per 64x64 image on one core, and lets the last layer see
# 31 pixels, about a digit of the embedded benchmark.
LAYERS = ((32, 2), (64, 2), (64, 1), (128, 1), (128, 1))


class Tiny(Backbone):
    """Five 3x3 convolutions with batch normalisation and ReLU, stride 4 in all.

    Takes any H and W (16 is the least that leaves a useful map); a size that 4 does not divide
    is rounded up, so the map is ceil(H / 4) x ceil(W / 4).
    """

    name: ClassVar[str] = "tiny"
    out_channels: ClassVar[int] = LAYERS[-1][0]
    stride: ClassVar[int] = 4
    input_size: ClassVar[int] = 64

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for out, stride in LAYERS:
            layers += _block(channels, out, stride)
            channels = out
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images to (B, 128, ceil(H / 4), ceil(W / 4)), at least 0."""
        features: Tensor = self.features(images)
        return features


def _block(channels: int, out: int, stride: int) -> list[nn.Module]:
    # Batch normalisation has its own bias, so the convolution needs none.
    convolution = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
    return [initialise(convolution), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
