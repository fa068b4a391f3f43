"""Grad-CAM: CAM for any classifier, by gradients in place of its weights (Selvaraju et al. 2017).

Shapes: B batch, C channels, K classes, H W size of the input, h w size of the last map.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from torch import Tensor

from workloads.backbones.base import Backbone
from workloads.backbones.whole_network import WholeNetwork
from workloads.methods.base import Localization
from workloads.methods.classification import class_scores
from workloads.methods.explained import (
    ExplainedClassifier,
    ExplainedOptions,
    maps_from_gradients,
)
from workloads.records import Task


class GradCam(ExplainedClassifier):
    """The map of class c is relu(sum_k a_kc * A_k) (section 3, equations 1 and 2).

    A is the last map, and a_kc the mean over its positions of d S_c / d A_k, S_c being the score
    before the sigmoid or softmax. With head "gap" it is relu of CAM's map, divided by the number
    of positions: the two differ with other heads. The last map before fully connected layers is
    the pooled one (7x7 at 224 for VGG16), that of torchvision's VGG16 is not (14x14).

    Presets:
        paper (the default): the network's own head.
        gap: CAM's network in CAM's preset `paper`.
        tiny: for the small backbone; its own head too, fully connected layers.
    """

    name: ClassVar[str] = "grad-cam"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "gap": {"head": "gap", "channels": 1024},
        "tiny": {},
    }

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: ExplainedOptions
    ) -> None:
        """Raises a ConfigError for a whole network without a last map, a vision transformer say."""
        super().__init__(backbone, num_classes, task, options)
        if isinstance(backbone, WholeNetwork):
            _ = backbone.classifier.last_maps  # better now than with the first image

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K) of (B, 3, H, W) normalised images; maps of h x w, at least 0, on demand."""
        logits, maps = self.logits_and_maps(images)
        height, width = maps.shape[2:]
        maps_of = partial(
            maps_from_gradients, self.logits_and_maps, images, weighted_maps, (height, width)
        )
        return Localization(class_scores(logits, self.task), maps_of)


def weighted_maps(maps: Tensor, slopes: Tensor) -> Tensor:
    """relu(sum_k a_k * A_k), a_k being the mean slope of channel k.

    Args:
        maps: (B, C, h, w), A.
        slopes: (B, C, h, w), the derivative of a score by A.

    Returns:
        (B, h, w), at least 0.
    """
    importance = slopes.mean(dim=(2, 3), keepdim=True)
    return (importance * maps).sum(dim=1).relu()
