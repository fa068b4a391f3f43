"""A classification network of torchvision in the place of a backbone, its own classifier included.

For methods that explain a network as it is, without a layer or a training step of ours.

Shapes: B batch, K classes, C channels, H W size of the input, h w size of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import ClassVar, cast

import torch
from torch import Tensor

from workloads.backbones.base import Backbone, Stage
from workloads.backbones.timm_network import is_timm, timm_network
from workloads.backbones.torchvision_classifier import (
    PREFIX,
    TorchvisionClassifier,
    todays_names,
)
from workloads.errors import ConfigError
from workloads.registry import Registry


class WholeNetwork(Backbone):
    """Base of the types that `whole_network` makes, one for each name.

    It has no stages to tap, and nothing is built on its maps: `out_channels` and `stride` are 0.
    Weights are random until those of `open_classifier` are copied into `classifier`.

    Attributes:
        classifier: the network.
    """

    out_channels: ClassVar[int] = 0
    stride: ClassVar[int] = 0
    stage_channels: ClassVar[Mapping[str, int]] = {}
    blocks = ()

    def __init__(self, *, fully_connected: bool = False, num_classes: int | None = None) -> None:
        """`num_classes` None: as many as the published weights have.

        Raises:
            ConfigError: with `fully_connected`; its layers of that kind are its own business.
        """
        super().__init__(fully_connected=fully_connected)
        self.classifier = TorchvisionClassifier(self.name, num_classes)

    def stages(self) -> dict[str, Stage]:
        """None."""
        return {}

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images to (B, C, h, w), the last map before the classifier.

        Raises:
            ConfigError: it has none, see `TorchvisionClassifier.last_maps`.
        """
        return self.classifier.with_maps(images)[1]

    def adapted(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of the published file under the names that they have here."""
        return {f"classifier.network.{n}": t for n, t in todays_names(published).items()}

    def weights(self) -> str | None:
        """torchvision's name for the weights that the network was published with."""
        return str(self.classifier.weights)


@cache
def whole_network(name: str) -> type[WholeNetwork]:
    """The backbone type "torchvision:<model>" or "torchvision:<model>:<weights>".

    Raises:
        ConfigError: torchvision has no such network or no such weights of it.
    """
    with torch.device("meta"):  # only its facts are wanted
        classifier = TorchvisionClassifier(name)
    facts = {
        "name": name,
        "input_size": classifier.input_size,
        "mean": classifier.mean,
        "std": classifier.std,
    }
    return cast(type[WholeNetwork], type("WholeNetwork", (WholeNetwork,), facts))


class Backbones(Registry[type[Backbone]]):
    """A registry that knows torchvision's and timm's networks too, though it lists none of them."""

    def __getitem__(self, name: str) -> type[Backbone]:
        if is_timm(name):
            return timm_network(name)
        return whole_network(name) if _is_whole(name) else super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        if not (isinstance(name, str) and (_is_whole(name) or is_timm(name))):
            return super().__contains__(name)
        try:
            self[name]
        except ConfigError:
            return False
        return True


def _is_whole(name: str) -> bool:
    return name.startswith(f"{PREFIX}:")
