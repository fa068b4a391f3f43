"""AlexNet (Krizhevsky et al. 2012) in torchvision's form, with one tower.

Shapes: B batch, C channels, H size of the input, h w size of a map.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.backbones.fully_connected import slide
from workloads.backbones.torchvision_backbone import SequentialBackbone


class AlexNet(SequentialBackbone):
    """torchvision's AlexNet up to the last ReLU: stride 16, 13x13 at 224, 256 channels.

    A map has floor((H - 15) / 16) rows; H is at least 31. With its fully connected layers: one
    pooling more (6x6 at 224; H is at least 63), and fc6, fc7 of 4,096 channels. A stage is a
    convolution with its ReLU; pooling opens the next stage.
    """

    name: ClassVar[str] = "alexnet"
    out_channels: ClassVar[int] = 256
    stride: ClassVar[int] = 16
    input_size: ClassVar[int] = 224
    stage_channels: ClassVar = {
        "conv1": 64, "conv2": 192, "conv3": 384, "conv4": 256, "conv5": 256,
    }  # fmt: skip
    blocks = ("conv1", "conv2", "conv5")
    grid: ClassVar[int] = 6
    hidden_channels: ClassVar[int] = 4096
    starts: ClassVar = {"conv1": 0, "conv2": 2, "conv3": 5, "conv4": 8, "conv5": 10}
    hidden_names: ClassVar[tuple[str, str]] = ("1", "4")
    weights_name: ClassVar[str] = "AlexNet_Weights.IMAGENET1K_V1"

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's."""
        from torchvision.models import alexnet

        return cast(nn.Module, alexnet(weights=None))

    def hidden(self, features: Tensor) -> Tensor:
        """fc6 and fc7, each with dropout before it and ReLU, over every 6x6 window."""
        if not self.fully_connected:
            return super().hidden(features)
        for layer, side in zip(self.classifier.values(), (self.grid, 1), strict=True):
            features = F.relu(slide(layer, F.dropout(features, 0.5, self.training), side))
        return features
