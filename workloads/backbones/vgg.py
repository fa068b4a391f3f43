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
POOLINGS = (4, 9, 16, 23)
"""Layers of torchvision's `features` that halve the resolution on the way, beside the last."""


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
    blocks: ClassVar[tuple[str, ...]] = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
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


class Vgg16At28(Vgg16):
    """VGG16 without its last two poolings: stride 8, 28x28 at 224. A map has floor(H / 8) rows.

    It is the larger of the two maps that the toolkit `wsolevaluation` has for VGG16.
    """

    name: ClassVar[str] = "vgg16_28"
    stride: ClassVar[int] = 8
    blocks = ("conv1_2", "conv2_2", "conv3_3", "conv5_3")
    has_fully_connected: ClassVar[bool] = False
    grid: ClassVar[int] = 0
    hidden_channels: ClassVar[int] = 0

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's, its last pooling on the way replaced by nothing."""
        network = super().network()
        _replaced(network, POOLINGS[-1], nn.Identity())
        return network


class Vgg16Spg(Vgg16):
    """VGG16 as SPG is built on it in the toolkit: stride 16, 14x14 at 224.

    The fourth pooling is of 3x3 with padding and a stage of its own, behind which B1 reads. A map
    has ceil(floor(H / 8) / 2) rows.
    """

    name: ClassVar[str] = "vgg16_spg"
    starts: ClassVar = dict(
        sorted(
            (Vgg16.starts | {"pool4": POOLINGS[-1], "conv5_1": POOLINGS[-1] + 1}).items(),
            key=lambda stage: stage[1],
        )
    )
    stage_channels: ClassVar = {
        name: Vgg16.stage_channels.get(name, CHANNELS[-1]) for name in starts
    }
    has_fully_connected: ClassVar[bool] = False
    grid: ClassVar[int] = 0
    hidden_channels: ClassVar[int] = 0

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's with another fourth pooling."""
        network = super().network()
        _replaced(network, POOLINGS[-1], nn.MaxPool2d(3, 2, padding=1))
        return network


class Vgg16Acol(Vgg16):
    """VGG16 as ACoL is built on it in the toolkit: stride 16, 14x14 at 224.

    Poolings are of 3x3 with padding, so a map has ceil(H / 16) rows. The last one, which other
    backbones leave out, stays at stride 1, and 3x3 features are averaged after it.
    """

    name: ClassVar[str] = "vgg16_acol"
    has_fully_connected: ClassVar[bool] = False
    grid: ClassVar[int] = 0
    hidden_channels: ClassVar[int] = 0
    pooling_strides: ClassVar[tuple[int, ...]] = (2, 2, 2, 2)

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__(fully_connected=fully_connected)
        self.features.append(nn.MaxPool2d(3, 1, padding=1))
        self.features.append(nn.AvgPool2d(3, 1, padding=1))

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's with other poolings."""
        network = super().network()
        for layer, stride in zip(POOLINGS, cls.pooling_strides, strict=True):
            _replaced(network, layer, nn.MaxPool2d(3, stride, padding=1))
        return network


class Vgg16Acol28(Vgg16Acol):
    """`Vgg16Acol` with the fourth pooling, too, at stride 1: stride 8, 28x28 at 224.

    So ACoL's authors have it. A map has ceil(H / 8) rows.
    """

    name: ClassVar[str] = "vgg16_acol_28"
    stride: ClassVar[int] = 8
    blocks = Vgg16At28.blocks
    pooling_strides: ClassVar[tuple[int, ...]] = (2, 2, 2, 1)


def _replaced(network: nn.Module, index: int, layer: nn.Module) -> None:
    layers = network.get_submodule("features")
    assert isinstance(layers, nn.Sequential)
    layers[index] = layer
