"""The contract of a backbone: named stages of layers from images to one feature map.

Shapes: B batch, C channels, H W size of the input, h w size of a map, L side of the map that the
fully connected layers take.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Mapping
from typing import ClassVar

from torch import Tensor, nn

from workloads.errors import ConfigError, unknown_name

Stage = Callable[[Tensor], Tensor]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Channels of RGB in [0, 1] over the training images of ImageNet."""


class Backbone(nn.Module, abc.ABC):
    """(B, 3, H, W) images to (B, out_channels, h, w) features, h about H / stride and w alike.

    Each backbone says how it rounds; some have a position less than that at the borders.
    `Backbone()` ends with the last convolutional map, as class activation maps want it.
    `Backbone(fully_connected=True)` goes one pooling further, to the map that the network's own
    fully connected layers take, and has those layers too (all but the last, the classifier).
    Parameters have the names of torchvision's files, so that these load without renaming.

    Class attributes:
        name: the registry name.
        out_channels: channels of the feature map, the same with and without the last pooling.
        stride: input pixels per map position, in both directions, without the last pooling.
        input_size: the side of the square input that the published networks use.
        mean, std: per-channel normalisation of RGB in [0, 1].
        stage_channels: channels after each stage, by the stages' names in their order.
        blocks: the last stages before each halving of the resolution, shallow to deep; the last
            one is the last stage of all. A border that a convolution takes off halves nothing.
        has_fully_connected: whether there are fully connected layers.
        grid: L of the fully connected layers at `input_size`; 0 without them.
        hidden_channels: outputs of the last of them; 0 without them.
    """

    name: ClassVar[str]
    out_channels: ClassVar[int]
    stride: ClassVar[int]
    input_size: ClassVar[int]
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    stage_channels: ClassVar[Mapping[str, int]]
    blocks: ClassVar[tuple[str, ...]]
    has_fully_connected: ClassVar[bool] = False
    grid: ClassVar[int] = 0
    hidden_channels: ClassVar[int] = 0

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__()
        if fully_connected and not self.has_fully_connected:
            raise ConfigError(f"backbone {self.name} has no fully connected layers; use another")
        self.fully_connected = fully_connected

    @abc.abstractmethod
    def stages(self) -> dict[str, Stage]:
        """The layers by name in their order; names are those of `stage_channels`.

        The last pooling, where `fully_connected` asks for it, belongs to the last stage.
        """

    def forward(self, images: Tensor) -> Tensor:
        """Features after the last rectification (and pooling)."""
        return self.tapped(images, ())[0]

    def tapped(self, images: Tensor, names: Collection[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Features, and what left the named stages on the way.

        Raises:
            ConfigError: there is no stage of that name.
        """
        check_stages(type(self), names)
        features, taps = images, {}
        for name, stage in self.stages().items():
            features = stage(features)
            if name in names:
                taps[name] = features
        return features, taps

    def hidden(self, features: Tensor) -> Tensor:
        """The fully connected layers, slid over a map as convolutions (Oquab, section 3).

        Args:
            features: (B, C, h, w) of `forward`, h and w at least `grid`.

        Returns:
            (B, hidden_channels, h - L + 1, w - L + 1) after the last rectification. A map of
            L x L gives one position: what the network itself computes.

        Raises:
            ConfigError: the backbone was made without them.
        """
        raise ConfigError(f"backbone {self.name} was made without fully connected layers")

    def weights(self) -> str | None:
        """Name of torchvision's weights for this network, None if there are none."""
        return None

    def adapted(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a published file under the names that they have in this module."""
        return dict(published)

    def ignored_weights(self) -> frozenset[str]:
        """Tensors of published weight files that this network has no use for."""
        return frozenset()


def check_stages(backbone: type[Backbone], names: Collection[str]) -> None:
    """Raises a ConfigError if a backbone has no stage of one of the names."""
    for name in names:
        if name not in backbone.stage_channels:
            kind = f"stage of backbone {backbone.name}"
            raise ConfigError(unknown_name(kind, name, backbone.stage_channels))
