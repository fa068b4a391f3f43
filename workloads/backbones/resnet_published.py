"""ResNet-50 (He et al. 2016) as it was published."""

from __future__ import annotations

from typing import ClassVar, cast

from torch import nn

from workloads.backbones.resnet import ResNet50


class ResNet50Published(ResNet50):
    """torchvision's ResNet-50 with all its strides: stride 32, 7x7 at 224, 2,048 channels.

    For features of whole images, such as those of a perceptual loss; `resnet50` has a map with
    four times as many positions.
    """

    name: ClassVar[str] = "resnet50_published"
    stride: ClassVar[int] = 32
    blocks: ClassVar[tuple[str, ...]] = ("conv1", "layer1", "layer2", "layer3", "layer4")

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's."""
        from torchvision.models import resnet50

        return cast(nn.Module, resnet50(weights=None))
