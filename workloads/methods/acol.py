"""ACoL: two classifiers, of which one sees what the other has not used (Zhang et al. 2018).

Shapes: B batch, C channels, K classes, H W size of the input, h w size of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.backbones.initialisation import initialise
from workloads.methods.base import OPTIMISATION, Localization, Method, SearchSpace, Targets
from workloads.methods.classification import class_scores, classification_loss
from workloads.methods.guidance import labelled_attention, min_max
from workloads.methods.rounds import one_class_at_a_time
from workloads.options import Options
from workloads.records import Task
from workloads.space import Range, Space


class AcolOptions(Options):
    """The two classifiers and the erasing between them.

    Attributes:
        threshold: delta; features are erased where the first classifier's normalised map of a
            labelled class is at least this. The text tries 0.5 to 0.9.
        channels: width of the two 3x3 convolutions with ReLU in each classifier; null leaves them
            out.
        scores: "first" are the first classifier's probabilities; "mean" averages both
            classifiers', the second of which sees features erased for the predicted class.
    """

    threshold: float = Field(default=0.6, gt=0, lt=1)
    channels: int | None = Field(default=1024, gt=0)
    scores: Literal["first", "mean"] = "first"


class Acol(Method):
    """backbone, then two classifiers: 3x3, ReLU, 3x3, ReLU, 1x1 to class maps, mean over positions.

    The second classifier sees the features without the positions at which the first one's map of
    the labelled class is high. Both are trained to name the class, so the second learns its other
    parts. With several labels, what any labelled class's map marks is erased; in an image without
    a label nothing is. The mask carries no gradient.

    The map of a class is the larger of both classifiers' maps of it, each normalised to [0, 1]
    (section 3.2). At test time a wanted class takes the place of the label, so the second
    classifier runs once for each wanted class.

    Presets:
        paper (the default): its VGG16.
        tiny: for the small backbone; both classifiers see its features directly, which makes the
            first one CAM's of that preset. Of small objects little is left at 0.6: the second
            map then marks the background, and fewer points hit.
    """

    name: ClassVar[str] = "acol"
    options_type: ClassVar[type[Options]] = AcolOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "tiny": {"channels": None, "threshold": 0.9},
    }
    search_space: ClassVar[SearchSpace] = SearchSpace(
        Space({**OPTIMISATION, "threshold": Range(0.5, 0.9)})  # those that the text tries
    )

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: AcolOptions
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        self.threshold = options.threshold
        self.averages_scores = options.scores == "mean"
        self.first = _classifier(backbone.out_channels, options.channels, num_classes)
        self.second = _classifier(backbone.out_channels, options.channels, num_classes)

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits", "erased_logits": (B, K)}.

        Without targets the class that the first classifier finds most likely is the label.
        """
        features = self.backbone(images)
        maps = self.first(features)
        logits = _pooled(maps)
        labels = _predicted(logits) if targets is None else targets.labels
        return {"logits": logits, "erased_logits": self._erased_logits(features, maps, labels)}

    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """{"classification", "erased_classification": scalar} of the two classifiers."""
        return {
            "classification": classification_loss(outputs["logits"], targets.labels, self.task),
            "erased_classification": classification_loss(
                outputs["erased_logits"], targets.labels, self.task
            ),
        }

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K) of (B, 3, H, W) normalised images; maps of h x w in [0, 1] on demand."""
        features = self.backbone(images)
        maps = self.first(features)
        rows = torch.arange(len(images), device=images.device)

        def fused(labels: Tensor) -> Tensor:
            own = min_max(maps[rows, labels])
            rest = _without(features, own >= self.threshold)
            return torch.maximum(own, min_max(self.second(rest)[rows, labels]))

        @torch.inference_mode()
        def maps_of(wanted: Sequence[Sequence[int]]) -> list[tuple[Tensor, ...]]:
            height, width = maps.shape[2:]
            return one_class_at_a_time(wanted, fused, (height, width), images.device)

        return Localization(self._scores(features, maps), maps_of)

    def _scores(self, features: Tensor, maps: Tensor) -> Tensor:
        logits = _pooled(maps)
        scores = class_scores(logits, self.task)
        if not self.averages_scores:
            return scores
        erased = self._erased_logits(features, maps, _predicted(logits))
        return (scores + class_scores(erased, self.task)) / 2

    def _erased_logits(self, features: Tensor, maps: Tensor, labels: Tensor) -> Tensor:
        rest = _without(features, erased_positions(maps, labels, self.threshold))
        return _pooled(self.second(rest))


def erased_positions(maps: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Positions at which any labelled class's normalised map reaches the threshold.

    Args:
        maps: (B, K, h, w) of the first classifier.
        labels: (B, K), above 0 for labelled classes.
        threshold: above 0; positions at exactly it are erased too, as in the released code.

    Returns:
        (B, h, w) bool; a constant map marks nothing.
    """
    height, width = maps.shape[2:]
    attention = labelled_attention(maps.float(), labels, (height, width), align_corners=False)
    return attention >= threshold


def _classifier(in_channels: int, channels: int | None, num_classes: int) -> nn.Sequential:
    """(B, C, h, w) features to (B, K, h, w) class maps, by ACoL's layers."""
    if channels is None:
        return nn.Sequential(nn.Conv2d(in_channels, num_classes, 1))
    return nn.Sequential(
        initialise(nn.Conv2d(in_channels, channels, 3, padding=1)),
        nn.ReLU(inplace=True),
        initialise(nn.Conv2d(channels, channels, 3, padding=1)),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, num_classes, 1),
    )


def _pooled(maps: Tensor) -> Tensor:
    return maps.mean(dim=(2, 3))


def _predicted(logits: Tensor) -> Tensor:
    """(B, K) logits to (B, K) with 1 for the most likely class of each image, else 0."""
    return F.one_hot(logits.argmax(dim=1), logits.shape[1])


def _without(features: Tensor, erased: Tensor) -> Tensor:
    """(B, C, h, w) features, 0 where (B, h, w) says so."""
    return features.masked_fill(erased.unsqueeze(1), 0)
