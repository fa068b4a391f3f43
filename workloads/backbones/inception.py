"""Inception-v3 (Szegedy et al. 2016), as SPG modifies it.

Shapes: B batch, C channels, h w size of a map.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from workloads.backbones.torchvision_backbone import ChainedBackbone


class Reduction(nn.Module):
    """Mixed_6a with padding 1 and any stride: two branches of convolutions and one of pooling.

    Args:
        block: torchvision's, whose layers it takes over.
    """

    branch3x3: nn.Module
    branch3x3dbl_1: nn.Module
    branch3x3dbl_2: nn.Module
    branch3x3dbl_3: nn.Module

    def __init__(self, block: nn.Module, stride: int) -> None:
        super().__init__()
        self.stride = stride
        for name, layer in block.named_children():
            self.add_module(name, layer)
        for branch in (self.branch3x3, self.branch3x3dbl_3):
            convolution = cast(nn.Conv2d, branch.get_submodule("conv"))
            convolution.stride = (stride, stride)
            convolution.padding = (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, 480 + C, ceil(h / stride), ceil(w / stride))."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pooled = F.max_pool2d(x, 3, self.stride, padding=1)
        return torch.cat([self.branch3x3(x), double, pooled], dim=1)


class InceptionV3(ChainedBackbone):
    """torchvision's Inception-v3 up to Mixed_6e: stride 8, 28x28 at 224, 768 channels.

    A map has floor(ceil(H / 2) / 4) rows: 28 of 224 pixels, 40 of 321. As in SPG's released code
    the first convolution is padded, the two others of the stem that could be are not (as the
    published weights were trained), both poolings are padded and round up, and Mixed_6a has
    stride 1; the text says no more than that the third group of Inception modules is removed
    (SPG, 4.1). What is said of the input of `GoogLeNet` holds here too.
    """

    name: ClassVar[str] = "inception_v3"
    out_channels: ClassVar[int] = 768
    stride: ClassVar[int] = 8
    input_size: ClassVar[int] = 224
    mean: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    stage_channels: ClassVar = {
        "Conv2d_1a_3x3": 32, "Conv2d_2a_3x3": 32, "Conv2d_2b_3x3": 64,
        "Conv2d_3b_1x1": 80, "Conv2d_4a_3x3": 192,
        "Mixed_5b": 256, "Mixed_5c": 288, "Mixed_5d": 288,
        "Mixed_6a": 768, "Mixed_6b": 768, "Mixed_6c": 768, "Mixed_6d": 768, "Mixed_6e": 768,
    }  # fmt: skip
    blocks: ClassVar[tuple[str, ...]] = ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_6e")
    parts: ClassVar = {name: (name,) for name in stage_channels} | {
        "Conv2d_3b_1x1": ("maxpool1", "Conv2d_3b_1x1"),
        "Mixed_5b": ("maxpool2", "Mixed_5b"),
    }
    weights_name: ClassVar[str] = "Inception_V3_Weights.IMAGENET1K_V1"
    reduction_stride: ClassVar[int] = 1

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's, with its auxiliary classifier, SPG's padding and another Mixed_6a."""
        from torchvision.models import inception_v3

        network = inception_v3(weights=None, aux_logits=True, init_weights=False)
        network.Conv2d_1a_3x3.conv.padding = (1, 1)
        for pooling in (network.maxpool1, network.maxpool2):
            pooling.padding, pooling.ceil_mode = 1, True
        network.Mixed_6a = Reduction(network.Mixed_6a, cls.reduction_stride)
        return cast(nn.Module, network)


class InceptionV3Spg(InceptionV3):
    """Inception-v3 whose inputs are normalised as in SPG's released code.

    By ImageNet's mean and deviation, though the published weights were trained on RGB scaled to
    [-1, 1].
    """

    name: ClassVar[str] = "inception_v3_spg"
    mean = IMAGENET_MEAN
    std = IMAGENET_STD


class InceptionV3At14(InceptionV3):
    """Inception-v3 with the stride of Mixed_6a left at 2: stride 16, 14x14 at 224.

    A map has half as many rows as that of `InceptionV3`, rounded up.
    """

    name: ClassVar[str] = "inception_v3_14"
    stride: ClassVar[int] = 16
    blocks: ClassVar[tuple[str, ...]] = ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e")
    reduction_stride: ClassVar[int] = 2


class InceptionV3Toolkit(InceptionV3):
    """Inception-v3 of the toolkit `wsolevaluation`: stride 16, 14x14 at 224.

    A map has floor(ceil(H / 2) / 8) rows; H is at least 15. A pooling of 3x3 at stride 2 stands
    before Mixed_6a, whose own stride stays 1, so that Mixed_5d, too, leaves a map of 14x14. Inputs
    are normalised by ImageNet's mean and deviation, whatever the weights were trained on.
    """

    name: ClassVar[str] = "inception_v3_toolkit"
    stride: ClassVar[int] = 16
    mean = IMAGENET_MEAN
    std = IMAGENET_STD
    stage_channels: ClassVar = {
        after: channels
        for name, channels in InceptionV3.stage_channels.items()
        for after in ((name, "maxpool3") if name == "Mixed_5d" else (name,))
    } | {"maxpool3": 288}
    blocks: ClassVar[tuple[str, ...]] = InceptionV3At14.blocks
    parts: ClassVar = {name: (name,) for name in stage_channels} | InceptionV3.parts

    @classmethod
    def network(cls) -> nn.Module:
        """That of `InceptionV3` with one pooling more."""
        network = super().network()
        network.add_module("maxpool3", nn.MaxPool2d(3, 2, ceil_mode=True))
        return network
