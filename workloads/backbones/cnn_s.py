"""CNN-S (Chatfield et al. 2014), a network between AlexNet and VGG.

Shapes: B batch, H W size of the input.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from workloads.backbones.base import Backbone, Stage
from workloads.backbones.initialisation import initialise
from workloads.backbones.stages import sliced

STARTS = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 9, "conv5": 11}


class CnnS(Backbone):
    """Five convolutions up to the last ReLU: stride 12, 17x17 at 224, 512 channels.

    A map has ceil((H - 30) / 12) rows; H is at least 31. A stage is a convolution with its ReLU,
    the first one with local response normalisation too; pooling opens the next stage.

    The table of the paper pads conv2 by 1; the published model does not, and neither does this.
    There are no weights of torchvision's. The published ones expect BGR in [0, 255] with a mean
    image taken off: fold that into conv1 and write a state dict with the names of this one.
    """

    name: ClassVar[str] = "cnn_s"
    out_channels: ClassVar[int] = 512
    stride: ClassVar[int] = 12
    input_size: ClassVar[int] = 224
    stage_channels: ClassVar = {
        "conv1": 96, "conv2": 256, "conv3": 512, "conv4": 512, "conv5": 512,
    }  # fmt: skip
    blocks = ("conv1", "conv2", "conv5")

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__(fully_connected=fully_connected)
        self.features = nn.Sequential(
            *_convolution(3, 96, 7, stride=2),
            # torch divides alpha by the size, as the published model does.
            nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            nn.MaxPool2d(3, 3, ceil_mode=True),
            *_convolution(96, 256, 5),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            *_convolution(256, 512, 3, padding=1),
            *_convolution(512, 512, 3, padding=1),
            *_convolution(512, 512, 3, padding=1),
        )

    def stages(self) -> dict[str, Stage]:
        """One for each convolution."""
        return sliced(self.features, STARTS)


def _convolution(
    channels: int, out: int, side: int, stride: int = 1, padding: int = 0
) -> list[nn.Module]:
    layer = nn.Conv2d(channels, out, side, stride, padding)
    return [initialise(layer), nn.ReLU(inplace=True)]
