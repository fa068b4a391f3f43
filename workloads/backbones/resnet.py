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
