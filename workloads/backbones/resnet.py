"""ResNet-50 (He et al. 2016) with its last group at the resolution of the one before."""

from __future__ import annotations

from typing import ClassVar, cast

from torch import nn

from workloads.backbones.torchvision_backbone import ChainedBackbone


class ResNet50(ChainedBackbone):
    """torchvision's ResNet-50 with layer4 dilated: stride 16, 14x14 at 224, 2,048 channels.

    A map has ceil(H / 16) rows. The stride of layer4 becomes a dilation of the convolutions after
    it. Every second position of the map, in both directions, is then what the published network
    computes, so its weights keep their meaning. With the stride merely taken out, the 3x3 layers
    after it would read neighbours half as far apart as those that they were trained on.
    """

    name: ClassVar[str] = "resnet50"
    out_channels: ClassVar[int] = 2048
    stride: ClassVar[int] = 16
    input_size: ClassVar[int] = 224
    stage_channels: ClassVar = {
        "conv1": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048,
    }  # fmt: skip
    blocks: ClassVar[tuple[str, ...]] = ("conv1", "layer1", "layer2", "layer4")
    parts: ClassVar = {
        "conv1": ("conv1", "bn1", "relu"),
        "layer1": ("maxpool", "layer1"),
        "layer2": ("layer2",),
        "layer3": ("layer3",),
        "layer4": ("layer4",),
    }
    weights_name: ClassVar[str] = "ResNet50_Weights.IMAGENET1K_V1"

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's, the third of its three strides of 2 replaced by dilation."""
        from torchvision.models import resnet50

        return cast(
            nn.Module, resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
        )


class ResNet50Toolkit(ResNet50):
    """ResNet-50 of the toolkit `wsolevaluation`: the stride of layer4 is 1, and nothing dilated.

    Sizes are those of `ResNet50`. The first block of layer3 is a stage of its own, as SPG's B1
    reads it there.
    """

    name: ClassVar[str] = "resnet50_toolkit"
    stage_channels: ClassVar = {
        "conv1": 64, "layer1": 256, "layer2": 512, "layer3_1": 1024, "layer3": 1024,
        "layer4": 2048,
    }  # fmt: skip
    parts: ClassVar = {
        "conv1": ("conv1", "bn1", "relu"),
        "layer1": ("maxpool", "layer1"),
        "layer2": ("layer2",),
        "layer3_1": ("layer3.0",),
        "layer3": tuple(f"layer3.{block}" for block in range(1, 6)),
        "layer4": ("layer4",),
    }

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's, its third stride of 2 taken out."""
        from torchvision.models import resnet50

        network = resnet50(weights=None)
        first = network.layer4[0]
        for layer in (first.conv2, first.downsample[0]):
            layer.stride = (1, 1)
        return cast(nn.Module, network)
