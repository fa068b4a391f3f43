"""Classifiers whose decisions are explained by gradients, and those gradients.

Shapes: B batch, C channels, K classes, H W size of the input, h w size of the last map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.backbones.whole_network import WholeNetwork
from workloads.errors import ConfigError
from workloads.methods.base import Method, Targets
from workloads.methods.classification import Adaptation, classification_loss
from workloads.methods.rounds import one_class_at_a_time
from workloads.options import Options
from workloads.records import Task

Head = Literal["own", "gap", "fully_connected"]


class ExplainedOptions(Options):
    """The layers between the last map and the scores.

    Attributes:
        head: "fully_connected" are the backbone's own layers of that kind, and "gap" the mean
            over positions, as in CAM's network; a linear classifier follows either. "own" is what
            the network was published with: fully connected layers where the backbone has them,
            else the mean; of a network of torchvision it is all that comes after the last map.
        channels: with "gap", width of a 3x3 convolution with ReLU before the mean; null leaves it
            out.
    """

    head: Head = "own"
    channels: int | None = Field(default=None, gt=0)

    @field_validator("channels")
    @classmethod
    def _check_channels(cls, channels: int | None, others: ValidationInfo) -> int | None:
        if channels is not None and others.data.get("head", "gap") != "gap":
            raise ValueError("only head 'gap' has channels; leave them out or choose it")
        return channels


class ExplainedClassifier(Method):
    """Base of methods that train a plain classifier and make maps from its gradients.

    A child class says in `localize` which gradients, and what becomes of them. On a whole network
    of torchvision ("torchvision:<model>") the head is that network's, and no layer is added.
    """

    options_type: ClassVar[type[Options]] = ExplainedOptions
    explains_whole_networks: ClassVar[bool] = True

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: ExplainedOptions
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        if isinstance(backbone, WholeNetwork):
            _check_own_head(backbone, options)
            return
        self.adaptation = Adaptation(backbone.out_channels, options.channels)
        full = backbone.fully_connected
        channels = backbone.hidden_channels if full else self.adaptation.out_channels
        self.classifier = nn.Linear(channels, num_classes)

    @classmethod
    def makes_fully_connected(cls, options: Options, backbone: type[Backbone]) -> bool:
        """As option `head` says."""
        assert isinstance(options, ExplainedOptions)
        own = options.head == "own" and backbone.has_fully_connected
        return own or options.head == "fully_connected"

    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images to (B, K)."""
        if isinstance(self.backbone, WholeNetwork):
            return self.backbone.classifier.classify(images)
        return self._head(self._last_maps(images))

    def logits_and_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """`logits`, and the (B, C, h, w) last map that they were computed from, in one graph.

        Raises:
            ConfigError: a whole network without such a map, a vision transformer say.
        """
        if isinstance(self.backbone, WholeNetwork):
            return self.backbone.classifier.with_maps(images)
        maps = self._last_maps(images)
        return self._head(maps), maps

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits": (B, K)}."""
        return {"logits": self.logits(images)}

    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """{"classification": scalar}, see `classification_loss`."""
        loss = classification_loss(outputs["logits"], targets.labels, self.task)
        return {"classification": loss}

    def _last_maps(self, images: Tensor) -> Tensor:
        maps: Tensor = self.adaptation(self.backbone(images))
        return maps

    def _head(self, maps: Tensor) -> Tensor:
        if self.backbone.fully_connected:
            maps = self.backbone.hidden(_pooled_to(maps, self.backbone.grid))
        logits: Tensor = self.classifier(maps.mean(dim=(2, 3)))
        return logits


def maps_from_gradients(
    graph: Callable[[Tensor], tuple[Tensor, Tensor]],
    images: Tensor,
    summarise: Callable[[Tensor, Tensor], Tensor],
    size: tuple[int, int],
    wanted: Sequence[Sequence[int]],
) -> list[tuple[Tensor, ...]]:
    """`maps_of` by one pass forward, and one backward for each wanted class of an image.

    Args:
        graph: images to (B, K) logits and to what they are differentiated by, from which they
            were computed; an image's logits depend on that image alone.
        images: (B, 3, H, W); they may be tensors of inference mode.
        summarise: what they are differentiated by, and the gradient of one class's logit of each
            image, to (B, h, w) maps.
        size: h, w.
        wanted: class indices of each image.
    """
    # Tensors of inference mode cannot be differentiated, their clones outside of it can.
    with torch.inference_mode(False), torch.enable_grad():
        logits, source = graph(images.clone().requires_grad_())

        def map_of(labels: Tensor) -> Tensor:
            chosen = logits.gather(1, labels.unsqueeze(1)).sum()
            (slope,) = torch.autograd.grad(chosen, source, retain_graph=True)
            return summarise(source.detach(), slope)

        return one_class_at_a_time(wanted, map_of, size, images.device)


def _check_own_head(backbone: Backbone, options: ExplainedOptions) -> None:
    if options.head != "own":
        raise ConfigError(
            f"head '{options.head}' is not there on {backbone.name}, a whole network; use 'own'"
        )


def _pooled_to(maps: Tensor, side: int) -> Tensor:
    """Maps of another size than the fully connected layers take, averaged to it.

    So do torchvision's networks that have such layers.
    """
    return maps if maps.shape[2:] == (side, side) else F.adaptive_avg_pool2d(maps, side)
