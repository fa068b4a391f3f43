"""The convolutional part of any classification network of torchvision, as a backbone.

For methods that can use any feature map: `backbone: torchvision:convnext_tiny` in a recipe.

Shapes: B batch, C channels, H W size of the input, h w size of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Never, cast

import torch
from torch import Tensor, nn

from workloads.backbones.base import Backbone, Stage
from workloads.backbones.torchvision_classifier import TorchvisionClassifier, todays_names

STAGE = "features"


class FeatureNetwork(Backbone):
    """Base of the types that `feature_network` makes, one for each name.

    The network runs as torchvision's does up to its last feature map; layers after it are not
    there. That map is its only stage: what a layer of it is called differs from network to network.

    Class attributes:
        maps_name: the module of torchvision's network whose output the map is.
        left_out: modules with parameters that come after it.
        weights_name: torchvision's name for the weights.
    """

    maps_name: ClassVar[str]
    left_out: ClassVar[tuple[str, ...]]
    weights_name: ClassVar[str]
    blocks = (STAGE,)

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__(fully_connected=fully_connected)
        self.network = TorchvisionClassifier(self.name).network
        for name in self.left_out:
            parent, _, child = name.rpartition(".")
            setattr(self.network.get_submodule(parent), child, nn.Identity())
        self.network.get_submodule(self.maps_name).register_forward_hook(_stop)

    def stages(self) -> dict[str, Stage]:
        """All of it."""
        return {STAGE: self._features}

    def adapted(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of the published file under the names that they have here."""
        return {f"network.{name}": tensor for name, tensor in todays_names(published).items()}

    def weights(self) -> str | None:
        """`weights_name`."""
        return self.weights_name

    def ignored_weights(self) -> frozenset[str]:
        """The weights of the layers that are left out."""
        with torch.device("meta"):
            whole = TorchvisionClassifier(self.name).network.state_dict()
        return frozenset(f"network.{name}" for name in whole) - self.state_dict().keys()

    def _features(self, images: Tensor) -> Tensor:
        try:
            self.network(images)
        except _Reached as reached:
            return reached.maps
        raise AssertionError(f"{self.name} never came to {self.maps_name}")


@cache
def feature_network(name: str) -> type[FeatureNetwork]:
    """The backbone type "torchvision:<model>" or "torchvision:<model>:<weights>".

    Raises:
        ConfigError: torchvision has no such network or weights, or it has no feature map.
    """
    with torch.device("meta"):  # only its facts are wanted
        classifier = TorchvisionClassifier(name)
    maps = classifier.maps_facts()
    facts = {
        "name": name,
        "input_size": classifier.input_size,
        "mean": classifier.mean,
        "std": classifier.std,
        "out_channels": maps.channels,
        "stride": round(classifier.input_size / maps.side),
        "stage_channels": {STAGE: maps.channels},
        "maps_name": maps.name,
        "left_out": maps.after,
        "weights_name": str(classifier.weights),
    }
    return cast(type[FeatureNetwork], type("FeatureNetwork", (FeatureNetwork,), facts))


class _Reached(Exception):
    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps


def _stop(module: nn.Module, inputs: Any, output: Tensor) -> Never:
    raise _Reached(output)
