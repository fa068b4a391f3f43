"""Saliency-aware localization (Chen et al. 2019): CAM whose encoder also learns objectness.

Shapes: B batch, K classes, H W size of the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from workloads.backbones.base import Backbone
from workloads.backbones.registry import BACKBONES
from workloads.methods.base import OPTIMISATION, Need, SearchSpace, Targets
from workloads.methods.cam import Cam, CamOptions
from workloads.methods.saliency_aware.decoder import SaliencyDecoder
from workloads.methods.saliency_aware.perceptual_triplet import (
    HiddenColour,
    Perceptual,
    triplet_loss,
)
from workloads.options import Options
from workloads.records import Task
from workloads.space import Choice, Range, Space

MapLoss = Literal["norm", "mean_squared"]


class SaliencyOptions(CamOptions):
    """The parts that only training has, and their losses. The defaults are the paper's text.

    Attributes:
        map_weight: weight of the map loss; 0 leaves it out, with the need for object proposals.
        map_loss: "norm" is equation 2, the L2 norm over all pixels of an image. It grows with
            the side of the input: a typical error of 0.2 costs 45 at 224x224, against 7 for
            guessing among 1,000 classes. "mean_squared" has no such scale.
        triplet_weight: weight of the perceptual triplet loss; 0 leaves it and its network out.
        margin: wanted difference d_neg - d_pos; null is the text, without an end.
        perceptual: the backbone that compares images, frozen; by default the published ResNet-50,
            without dilation.
        skips: encoder stages that have a block of the decoder with a skip connection each,
            shallow to deep, the last one being the encoder's end. Null: the last stages before
            each change of resolution, and blocks without a skip up to the size of the input.
        hidden_colour: content where the saliency map hides the image. "mean" is the product
            of the map with the normalised image, which is what the networks see; "black" that
            with the pixels.
        decoder_channels: outputs of the decoder's first block; each further block has half.
    """

    map_weight: float = Field(default=1.0, ge=0)
    map_loss: MapLoss = "norm"
    triplet_weight: float = Field(default=1.0, ge=0)
    margin: float | None = Field(default=None, ge=0)
    perceptual: str = "resnet50_published"
    skips: tuple[str, ...] | None = Field(default=None, min_length=1)
    hidden_colour: HiddenColour = "mean"
    decoder_channels: int = Field(default=256, gt=0)


class Saliency(Cam):
    """CAM with a decoder for objectness and a frozen network, both for training alone.

    Classification loss + map loss + perceptual triplet loss (equation 8). The map loss draws the
    decoder to pseudo saliency maps, which are means of object proposals' masks. The triplet loss
    alone has an easy way out: a map of 1 everywhere. With both weights 0 this is CAM, and after
    training it always is: the same tensors, the same cost.

    Presets:
        paper (the default): what the text says, with the sign of the triplet loss set right.
        tiny: for the small backbone; a narrow decoder, a small frozen network, and a map loss of
            about the size of the classification loss. The norm would be some forty times that.
    """

    name: ClassVar[str] = "saliency-aware"
    options_type: ClassVar[type[Options]] = SaliencyOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "tiny": {
            "channels": None,
            "map_loss": "mean_squared",
            "map_weight": 5.0,
            "perceptual": "tiny",
            "skips": None,
            "decoder_channels": 16,
        },
    }
    search_space: ClassVar[SearchSpace] = SearchSpace(
        Space(
            {
                **OPTIMISATION,
                "map_weight": Range(0.1, 10.0, "log"),
                "triplet_weight": Range(0.1, 10.0, "log"),
                "margin": Choice((None, 0.1, 0.3, 1.0, 3.0)),  # the text has none
            }
        )
    )
    training_parts: ClassVar[tuple[str, ...]] = ("decoder", "perceptual")

    decoder: SaliencyDecoder | None
    perceptual: Perceptual | None

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: SaliencyOptions
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        self.options: SaliencyOptions = options
        self.decoder = self.perceptual = None
        if options.map_weight or options.triplet_weight:
            width = self.adaptation.out_channels
            self.decoder = SaliencyDecoder(
                type(backbone), width, options.decoder_channels, options.skips
            )
        if options.triplet_weight:
            frozen = BACKBONES[options.perceptual]()
            self.perceptual = Perceptual(frozen, type(backbone), options.hidden_colour)

    @property
    def needs(self) -> frozenset[Need]:
        """Pseudo saliency maps, for the map loss."""
        return frozenset({"saliency"} if self.options.map_weight else ())

    def pretrained_parts(self) -> dict[str, Backbone]:
        """The encoder, and the frozen network of the triplet loss."""
        parts = super().pretrained_parts()
        return (
            parts if self.perceptual is None else {**parts, "perceptual": self.perceptual.network}
        )

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits": (B, K), "saliency": (B, H, W) in [0, 1],
        "positive": (B,), "negative": (B,)}, the last three as far as their losses are there.
        """
        if self.decoder is None:
            return super().forward(images, targets)
        last, taps = self.backbone.tapped(images, self.decoder.taps)
        features = self.adaptation(last)
        saliency = self.decoder(features, taps, images.shape[2:])
        outputs = {"logits": self._logits(features), "saliency": saliency}
        if self.perceptual is not None:
            outputs["positive"], outputs["negative"] = self.perceptual(images, saliency)
        return outputs

    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """{"classification", "map", "triplet"}: scalars with their weights (equation 8)."""
        terms, options = super().loss(outputs, targets), self.options
        if options.map_weight:
            assert targets.saliency is not None  # as `needs` says
            error = map_loss(outputs["saliency"], targets.saliency, options.map_loss)
            terms["map"] = options.map_weight * error
        if options.triplet_weight:
            triplet = triplet_loss(outputs["positive"], outputs["negative"], options.margin)
            terms["triplet"] = options.triplet_weight * triplet
        return terms


def map_loss(predicted: Tensor, wanted: Tensor, kind: MapLoss) -> Tensor:
    """Scalar difference of (B, H, W) maps in [0, 1], mean over the batch (equation 2)."""
    difference = (predicted - wanted).flatten(start_dim=1)
    if kind == "norm":
        norm: Tensor = torch.linalg.vector_norm(difference, dim=1)
        return norm.mean()
    return difference.square().mean()
