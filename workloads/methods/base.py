"""The contract of a method.

A method is a network on a backbone with a loss, class scores and class maps. It never knows
that it is distributed, and nobody outside this package knows which method it is.

Shapes: B batch, K classes, H W size of the input, h w size of the map.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.datasets.base import Task
from workloads.options import Options


class Targets(NamedTuple):
    """Image-level labels of a batch.

    Attributes:
        labels: (B, K) float32, 1 for present classes, else 0. A class whose objects are all
            difficult is 0 here.
    """

    labels: Tensor


class Localization(NamedTuple):
    """What a network says about a batch of images.

    Attributes:
        scores: (B, K) float32 in [0, 1], the probability of each class.
        maps: (B, K, h, w) float32, the response of each class over positions, any range;
            row-major in the frame of the network's input.
        proposal: (B, h, w) float32, class-free objectness summing to 1 per image; None for
            methods without one.
    """

    scores: Tensor
    maps: Tensor
    proposal: Tensor | None = None


class SearchSpace(NamedTuple):
    """Names of the parameters worth searching.

    Attributes:
        training: options that need a training trial each.
        stored_maps: parameters that are functions of stored scores and maps.
    """

    training: tuple[str, ...]
    stored_maps: tuple[str, ...] = ("cutoff", "alpha", "score_threshold")


class Method(nn.Module, abc.ABC):
    """Base of all methods: `Method(backbone, num_classes, task, options)`.

    Class attributes:
        name: the registry name.
        options_type: the typed options, every ambiguity of the paper among them.
        presets: named option values, `paper` (what the text says) among them.
        search_space: what is worth searching.
    """

    name: ClassVar[str]
    options_type: ClassVar[type[Options]] = Options
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"paper": {}}
    search_space: ClassVar[SearchSpace] = SearchSpace(training=("learning_rate", "weight_decay"))

    def __init__(self, backbone: Backbone, num_classes: int, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_classes = num_classes
        self.task = task
        self.options = options

    @abc.abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to at least {"logits": (B, K)}; used in training."""

    @abc.abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Named scalar loss terms of `forward`'s outputs; their sum is minimised."""

    @abc.abstractmethod
    def localize(self, images: Tensor) -> Localization:
        """Scores and maps of (B, 3, H, W) normalised images; call it in eval mode."""

    def new_layers(self) -> nn.ModuleList:
        """The layers that are not the backbone's (they may get their own learning rate)."""
        return nn.ModuleList(m for m in self.children() if m is not self.backbone)
