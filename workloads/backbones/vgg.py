"""VGG16 (Simonyan and Zisserman 2015), as the papers cut it.

Shapes: B batch, C channels, H size of the input, h w size of a map.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.backbones.fully_connected import slide
from workloads.backbones.torchvision_backbone import SequentialBackbone

CHANNELS = (64, 128, 256, 512, 512)


class Vgg16(SequentialBackbone):
    """torchvision's VGG16 up to the last ReLU: stride 16, 14x14 at 224, 512 channels.

    A map has floor(H / 16) rows. With its fully connected layers: one pooling more, 7x7 at 224,
    and fc6, fc7 of 4,096 channels. A stage is a convolution with its ReLU; pooling opens the next
    stage.
    """

    name: ClassVar[str] = "vgg16"
    out_channels: ClassVar[int] = 512
    stride: ClassVar[int] = 16
    input_size: ClassVar[int] = 224
    starts: ClassVar = {
        "conv1_1": 0, "conv1_2": 2,
        "conv2_1": 4, "conv2_2": 7,
        "conv3_1": 9, "conv3_2": 12, "conv3_3": 14,
        "conv4_1": 16, "conv4_2": 19, "conv4_3": 21,
        "conv5_1": 23, "conv5_2": 26, "conv5_3": 28,
    }  # fmt: skip
    stage_channels: ClassVar = {name: CHANNELS[int(name[4]) - 1] for name in starts}
    blocks = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
    grid: ClassVar[int] = 7
    hidden_channels: ClassVar[int] = 4096
    hidden_names: ClassVar[tuple[str, str]] = ("0", "3")
    weights_name: ClassVar[str] = "VGG16_Weights.IMAGENET1K_V1"

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's, without initial weights."""
        from torchvision.models import vgg16

        return cast(nn.Module, vgg16(weights=None, init_weights=False))

    def hidden(self, features: Tensor) -> Tensor:
        """fc6 and fc7, each with ReLU and dropout, over every 7x7 window."""
        if not self.fully_connected:
            return super().hidden(features)
        for layer, side in zip(self.classifier.values(), (self.grid, 1), strict=True):
            features = F.dropout(F.relu(slide(layer, features, side)), 0.5, self.training)
        return features
