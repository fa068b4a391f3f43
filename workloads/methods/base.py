"""The contract of a method.

A method is a network on a backbone with a loss, class scores and class maps. It never knows
that it is distributed, and nobody outside this package knows which method it is.

Shapes: B batch, K classes, S side of the square input, h w size of a map, n maps of an image.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.localization.cutoffs import CUTOFFS_SPACE
from workloads.options import Options
from workloads.records import Task
from workloads.space import Parameter, Range, Space

Need = Literal["saliency", "boxes"]


class Targets(NamedTuple):
    """Ground truth of a training batch, in the frame of the network's input.

    Attributes:
        labels: (B, K) float32, 1 for present classes, else 0. A class whose objects are all
            difficult is 0 here.
        extents: (B, 2) float32, the share of height and width of the input that is image; the
            rest, below and to the right, is padding. None: all of it is image.
        saliency: (B, S, S) float32 in [0, 1], pseudo saliency maps; None unless the method
            `needs` them.
        boxes: one (N, 5) float32 tensor for each image, rows x0, y0, x1, y1 in pixels of the
            input and the class index; None unless the method `needs` them.
    """

    labels: Tensor
    extents: Tensor | None = None
    saliency: Tensor | None = None
    boxes: tuple[Tensor, ...] | None = None


MapsOf = Callable[[Sequence[Sequence[int]]], list[tuple[Tensor, ...]]]
"""From the wanted classes of each image (B lists of n class indices) to their maps: for each
image one (n, h, w) float32 tensor per scale, the main one first. Maps have any range; they are
row-major in the frame of the network's input, padding included."""


CropOf = Callable[[Tensor, NDArray[np.float64]], Tensor]
"""From (N,) rows of a batch and (N, 4) rectangles of their inputs, x0, y0, x1, y1 as shares of
width and height, to (N, 3, S, S) normalised inputs that show what lies in these rectangles."""


@dataclass(frozen=True)
class Localization:
    """Class scores and maps of a batch of images.

    Attributes:
        scores: (B, K) float32 in [0, 1], the probability of each class.
        maps_of: gives the maps of wanted classes; work for other classes is not done. Call it
            in the mode (inference, device) in which the localization was made.
        proposal: (B, h, w) float32, class-free objectness summing to 1 per image; None for
            methods without one.
    """

    scores: Tensor
    maps_of: MapsOf
    proposal: Tensor | None = None


def maps_for(maps: Tensor, *more_scales: Tensor) -> MapsOf:
    """`maps_of` of maps that are there for all classes already.

    Args:
        maps: (B, K, h, w).
        more_scales: the same of further scales, each with its own h and w.
    """

    def maps_of(wanted: Sequence[Sequence[int]]) -> list[tuple[Tensor, ...]]:
        scales = (maps, *more_scales)
        return [
            tuple(scale[row, list(labels)].float() for scale in scales)
            for row, labels in enumerate(wanted)
        ]

    return maps_of


OPTIMISATION: Mapping[str, Parameter] = {
    "learning_rate": Range(1e-4, 0.1, "log"),
    "weight_decay": Range(1e-6, 1e-2, "log"),
}
"""Options of every training that are worth searching, whatever the method."""


class SearchSpace(NamedTuple):
    """Parameters worth searching, by what a trial costs.

    Attributes:
        training: options of the method or of the training; a trial is a training.
        stored_maps: cut-offs; a trial is a function of stored scores and maps.
    """

    training: Space
    stored_maps: Space = CUTOFFS_SPACE


class Method(nn.Module, abc.ABC):
    """Base of all methods: `Method(backbone, num_classes, task, options)`.

    Class attributes:
        name: the registry name.
        options_type: the typed options, every ambiguity of the paper among them.
        presets: named option values, `paper` (what the text says) and `tiny` (for the small
            backbone and the embedded benchmark) among them.
        preset_cutoffs: what a preset says about cut-offs, by its name; a recipe's own win.
        search_space: the options worth searching, with their ranges.
        uses_fully_connected: whether it is built on a backbone's fully connected layers.
        explains_whole_networks: whether it takes a torchvision classifier in the place of a
            backbone, see `WholeNetwork`.
        training_parts: names of the child modules that only training needs. A model version
            does not hold them, and a localizer does not build on them.
    """

    name: ClassVar[str]
    options_type: ClassVar[type[Options]] = Options
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"paper": {}, "tiny": {}}
    preset_cutoffs: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {}
    search_space: ClassVar[SearchSpace] = SearchSpace(Space(OPTIMISATION))
    uses_fully_connected: ClassVar[bool] = False
    explains_whole_networks: ClassVar[bool] = False
    training_parts: ClassVar[tuple[str, ...]] = ()

    def __init__(self, backbone: Backbone, num_classes: int, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_classes = num_classes
        self.task = task
        self.options = options

    @classmethod
    def makes_fully_connected(cls, options: Options, backbone: type[Backbone]) -> bool:
        """Whether a backbone is made with its fully connected layers for these options."""
        return cls.uses_fully_connected

    @abc.abstractmethod
    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, S, S) normalised images to at least {"logits": (B, K)}; used in training.

        Args:
            targets: ground truth in training; None outside of it.
        """

    @abc.abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Named scalar loss terms of `forward`'s outputs; their sum is minimised."""

    @abc.abstractmethod
    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores and maps of (B, 3, S, S) normalised images; call it in eval mode.

        Args:
            extents: (B, 2) as in `Targets`.
        """

    @property
    def crops_images(self) -> bool:
        """Whether it looks at parts of images again, at the resolution of the images."""
        return False

    def localize_cropping(
        self, images: Tensor, extents: Tensor | None, crop_of: CropOf
    ) -> Localization:
        """`localize` where the images are at hand from which the inputs were made.

        Args:
            crop_of: cuts parts from the images themselves; only methods that say `crops_images`
                ask for any.
        """
        return self.localize(images, extents)

    @property
    def needs(self) -> frozenset[Need]:
        """Names of the `Targets` that training needs beside labels."""
        return frozenset()

    @property
    def needs_proposals(self) -> bool:
        """Whether training learns from stored object proposals."""
        return "saliency" in self.needs

    def pretrained_parts(self) -> dict[str, Backbone]:
        """The networks inside that start from weights of their own, by name."""
        return {"backbone": self.backbone}

    def new_layers(self) -> nn.ModuleList:
        """The layers that are not the backbone's (they may get their own learning rate)."""
        return nn.ModuleList(m for m in self.children() if m is not self.backbone)

    def without_training_parts(self) -> Self:
        """Itself, after taking out what only training needs."""
        for part in self.training_parts:
            setattr(self, part, None)
        return self

    def inference_state(self) -> dict[str, Tensor]:
        """The state dict without what only training needs."""
        dropped = tuple(f"{part}." for part in self.training_parts)
        return {n: t for n, t in self.state_dict().items() if not n.startswith(dropped)}
