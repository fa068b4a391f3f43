"""The contract of a backbone: a stack of layers from images to one feature map."""

from __future__ import annotations

import abc
from typing import ClassVar

from torch import Tensor, nn


class Backbone(nn.Module, abc.ABC):
    """(B, 3, H, W) images to (B, out_channels, H / stride, W / stride) features.

    Class attributes:
        name: the registry name.
        out_channels: channels of the feature map.
        stride: input pixels per map position, in both directions.
        input_size: the side of the square input that the published networks use.
        mean, std: per-channel normalisation of RGB in [0, 1].
        ignored_weights: tensors of published weight files that this network has no use for.
    """

    name: ClassVar[str]
    out_channels: ClassVar[int]
    stride: ClassVar[int]
    input_size: ClassVar[int]
    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)
    ignored_weights: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Features after the last rectification."""

    def weights(self) -> str | None:
        """Name of torchvision's weights for this network, None if there are none."""
        return None
