"""Base classes of the backbones that are cut out of a torchvision network.

Layers keep torchvision's names, so that its files load as they are; what a file has beyond them
is known by taking the two sets of names apart. Weights are random until `load_weights` is called.

Importing torchvision takes a second, so a network imports it when it is built: most processes build
none of these.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from itertools import chain
from typing import ClassVar

import torch
from torch import nn

from workloads.backbones.base import Backbone, Stage
from workloads.backbones.fully_connected import hidden_layers
from workloads.backbones.initialisation import allocate
from workloads.backbones.stages import chained, sliced


class TorchvisionBackbone(Backbone):
    """Base of both forms.

    Class attributes:
        weights_name: torchvision's name for the ImageNet weights that the papers start from.
    """

    weights_name: ClassVar[str]

    @classmethod
    @abc.abstractmethod
    def network(cls) -> nn.Module:
        """The whole network as in the published file, auxiliary classifiers too."""

    @classmethod
    def on_meta_device(cls) -> nn.Module:
        """`network` without memory: what is dropped of it costs nothing and draws no numbers."""
        with torch.device("meta"):
            return cls.network()

    def weights(self) -> str | None:
        """`weights_name`."""
        return self.weights_name

    def ignored_weights(self) -> frozenset[str]:
        """The classifiers, and the layers after the last one that is here."""
        return frozenset(self.on_meta_device().state_dict().keys() - self.state_dict().keys())


class ChainedBackbone(TorchvisionBackbone):
    """Backbone from a network whose children are called one after another.

    Class attributes:
        parts: names of the children that each stage calls, by the stages' names and in order;
            "child.n" for a child of a child.
    """

    parts: ClassVar[Mapping[str, tuple[str, ...]]]

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__(fully_connected=fully_connected)
        network = self.on_meta_device()
        names = (name.split(".")[0] for name in chain.from_iterable(self.parts.values()))
        for name in dict.fromkeys(names):
            self.add_module(name, allocate(network.get_submodule(name)))

    def stages(self) -> dict[str, Stage]:
        """The stages that `parts` names."""
        return chained(self, self.parts)


class SequentialBackbone(TorchvisionBackbone):
    """Backbone from a network with `features`, whose last layer is a pooling, and `classifier`.

    Class attributes:
        starts: indices of the layers of `features` that a stage begins with, by the stages' names
            and in order.
        hidden_names: names of fc6 and fc7 in `classifier`.
    """

    starts: ClassVar[Mapping[str, int]]
    hidden_names: ClassVar[tuple[str, str]]
    has_fully_connected: ClassVar[bool] = True

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__(fully_connected=fully_connected)
        layers = self.on_meta_device().get_submodule("features")
        assert isinstance(layers, nn.Sequential)
        self.features = allocate(layers if fully_connected else layers[:-1])
        if fully_connected:
            self.classifier = hidden_layers(self, *self.hidden_names)

    def stages(self) -> dict[str, Stage]:
        """The stages that begin at `starts`."""
        return sliced(self.features, self.starts)
