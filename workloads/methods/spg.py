"""SPG: self-produced guidance (Zhang et al. 2018).

Training adds three branches with one output map each, B1 and B2 on the way through the backbone
and C at its end. Attention to the labelled class teaches B2, B2 teaches B1, and their mean
teaches C, always where the teacher is sure. Localization uses SPG-A alone, a CAM.

Shapes: B batch, C channels, K classes, S side of the input, h w size of a map, H W of a mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.errors import ConfigError
from workloads.methods.base import OPTIMISATION, Localization, SearchSpace, Targets
from workloads.methods.cam import Cam, CamOptions
from workloads.methods.classification import Adaptation, class_response
from workloads.methods.guidance import (
    labelled_attention,
    leave_out,
    mask_loss,
    min_max,
    resize,
    split_by_confidence,
)
from workloads.records import Task
from workloads.space import Below, Range, Space

TEACHERS = ("attention", "b2", "fused")  # each has a threshold `_low` and one `_high`

# Around those of equation 1 in the text, the released code and the toolkit: 0.01 to 0.1 for the
# lower one, 0.5 to 0.7 for the higher.
_LOW = Range(0.005, 0.4, "log")
_HIGH = Range(0.3, 0.9)
_SPACE = Space(
    {
        **OPTIMISATION,
        **{f"{teacher}_low": _LOW for teacher in TEACHERS},
        **{f"{teacher}_high": _HIGH for teacher in TEACHERS},
    },
    tuple(Below(f"{teacher}_low", f"{teacher}_high", gap=0.05) for teacher in TEACHERS),
)

STAGES: Mapping[str, tuple[str, str]] = {
    "tiny": ("conv3", "conv4"),
    "alexnet": ("conv3", "conv5"),
    "cnn_s": ("conv3", "conv5"),
    "vgg16": ("conv4_3", "conv5_3"),
    "vgg16_28": ("conv4_3", "conv5_3"),
    "vgg16_spg": ("pool4", "conv5_3"),
    "vgg16_acol": ("conv4_3", "conv5_3"),
    "vgg16_acol_28": ("conv4_3", "conv5_3"),
    "googlenet": ("inception3b", "inception4d"),
    "inception_v3": ("Mixed_5d", "Mixed_6d"),
    "inception_v3_14": ("Mixed_5d", "Mixed_6d"),
    "inception_v3_spg": ("Mixed_5d", "Mixed_6d"),
    "inception_v3_toolkit": ("maxpool3", "Mixed_6d"),
    "resnet50": ("layer2", "layer3"),
    "resnet50_published": ("layer2", "layer3"),
    "resnet50_toolkit": ("layer3_1", "layer3"),
}
"""Stages of each backbone that B1 and B2 read: the first sees parts, the second objects."""


class SpgOptions(CamOptions):
    """Options of SPG, its ablations and the variants of the released code.

    A pair `low`, `high` is delta_l, delta_h of equation 1: what becomes a mask's background and
    object. The defaults are those of the text; it names none for the fused map, which has the
    released code's.

    Attributes:
        channels: width of each of SPG-A's two 3x3 convolutions with ReLU; null leaves both out.
        dropout: share of values that training sets to 0 before each of SPG-A's layers, the class
            layer among them. The text does not speak of it, that of the released code is never
            active; 0.5 in the toolkit's Inception-v3.
        guidance: "full"; "no_c" is without branch C; "plain" is without any (SPG-plain).
        cascade: B2's map teaches B1; false: both B1 and B2 learn from attention.
        shared_tail: B1 and B2 have their second and third layers in common.
        guidance_channels: width of all convolutions in B and C but the last of each. The text gives
            288 and 768 to the first ones of B1 and B2, which are the channels of their inputs:
            the layer that they share needs equal ones.
        c_channels: width of C's convolutions where it is another; null: `guidance_channels`.
        c_convolutions: 3x3 in C before its 1x1; 1 in section 3.1 and the released code, 2 in
            section 3.3.
        attention_low, attention_high: thresholds of attention to the labelled class, for B2's mask.
            The released code has 0.05, 0.7; the toolkit `wsolevaluation` 0.01 for the lower one.
        b2_low, b2_high: thresholds of B2's map, for B1's mask.
        fused_low, fused_high: thresholds of the mean of B1's and B2's maps, for C's mask.
        min_object: fewer object pixels (of 224 x 224) make an image's `high` 0.7 times the
            maximum of its map; 0: never. Not in the text; 30 in the released code.
        min_object_lasts: the lowered value stays for the later images of the batch, as in the
            released code; masks then depend on the order of images.
        mask_size: size at which masks and branches are compared. "input": the size of the input;
            "map": that of the learning branch's own map; a number: that square.
        align_corners: rule of bilinear resizing; true in the released code's time.
        map_range: "raw" class maps, or "unit": each normalised to [0, 1] at its own size, before
            anybody resizes it (the released code).
    """

    dropout: float = Field(default=0.0, ge=0, lt=1)
    guidance: Literal["full", "no_c", "plain"] = "full"
    cascade: bool = True
    shared_tail: bool = True
    guidance_channels: int = Field(default=512, gt=0)
    c_channels: int | None = Field(default=None, gt=0)
    c_convolutions: Literal[1, 2] = 1
    attention_low: float = Field(default=0.1, gt=0, lt=1)
    attention_high: float = Field(default=0.7, lt=1, validate_default=True)
    b2_low: float = Field(default=0.05, gt=0, lt=1)
    b2_high: float = Field(default=0.5, lt=1, validate_default=True)
    fused_low: float = Field(default=0.1, gt=0, lt=1)
    fused_high: float = Field(default=0.7, lt=1, validate_default=True)
    min_object: int = Field(default=0, ge=0)
    min_object_lasts: bool = False
    mask_size: Literal["input", "map"] | int = "input"
    align_corners: bool = False
    map_range: Literal["raw", "unit"] = "raw"

    @field_validator("attention_high", "b2_high", "fused_high")
    @classmethod
    def _check_high(cls, high: float, info: ValidationInfo) -> float:
        lower = f"{(info.field_name or '').removesuffix('high')}low"
        if lower in info.data and high <= info.data[lower]:
            raise ValueError(f"must be above {lower}, which is {info.data[lower]}")
        return high

    @field_validator("mask_size", mode="before")
    @classmethod
    def _check_mask_size(cls, value: Any) -> Any:
        number = isinstance(value, int) and not isinstance(value, bool)
        if value in ("input", "map") or (number and value > 0):
            return value
        raise ValueError("allowed: 'input', 'map' or a whole number above 0")


class Guide(nn.Module):
    """SPG-B and SPG-C: what training adds (SPG, 3.1 and 3.3). Outputs are before the sigmoid.

    B1 and B2: 3x3, ReLU, then 3x3, ReLU, 1x1 to one channel, by default with the same weights.
    C: 3x3, ReLU (once or twice), 1x1 to one channel.
    """

    def __init__(self, backbone: Backbone, out_channels: int, options: SpgOptions) -> None:
        """`out_channels` are those of the features before the class layer.

        Raises:
            ConfigError: no stages are known for the backbone.
        """
        super().__init__()
        width = options.guidance_channels
        self.stages = _stages(backbone)
        self.b1, self.b2 = (
            Adaptation(backbone.stage_channels[stage], width) for stage in self.stages
        )
        tails = 1 if options.shared_tail else 2
        self.tails = nn.ModuleList(_to_one_channel(width, width) for _ in range(tails))
        self.c: nn.Sequential | None = None
        if options.guidance == "full":
            c_width = options.c_channels or width
            self.c = _to_one_channel(out_channels, c_width, options.c_convolutions)

    def forward(self, taps: Mapping[str, Tensor], features: Tensor) -> dict[str, Tensor]:
        """(B, h, w) logits of the branches by name, each of the size of what it reads.

        Args:
            taps: (B, C, h, w) behind the stages of `STAGES`.
            features: (B, C, h, w) before the class layer.
        """
        shallow, deep = (taps[stage] for stage in self.stages)
        outputs = {"b2": self.tails[-1](self.b2(deep)), "b1": self.tails[0](self.b1(shallow))}
        if self.c is not None:
            outputs["c"] = self.c(features)
        return {branch: logits.squeeze(1) for branch, logits in outputs.items()}


class Spg(Cam):
    """SPG-A, a CAM with one 3x3 convolution more, and in training the guidance by B and C.

    A is 3x3, ReLU, 3x3, ReLU, 1x1 to the classes, mean over positions. The last two commute, so
    they are done in CAM's order and give the same logits.

    An image without a label, or whose attention is constant, is ignored in all masks; so is
    padding.

    Presets:
        paper (the default): what the text says.
        authors: the released code.
        tiny: for the small backbone; the classifier sees its features directly, as in CAM's
            preset of that name, so that the two differ in the guidance alone. Masks are
            of the map's own size. Lower thresholds were no better on the embedded data
            (docs/decisions/0014). A training step costs about 1.3 times CAM's.
    """

    name: ClassVar[str] = "spg"
    options_type: ClassVar[type[SpgOptions]] = SpgOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "authors": {
            "attention_low": 0.05,
            "min_object": 30,
            "min_object_lasts": True,
            "mask_size": 224,
            "align_corners": True,
            "map_range": "unit",
        },
        "tiny": {"channels": None, "guidance_channels": 16, "min_object": 30, "mask_size": "map"},
    }
    search_space: ClassVar[SearchSpace] = SearchSpace(_SPACE)
    training_parts: ClassVar[tuple[str, ...]] = ("guide",)

    options: SpgOptions

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: SpgOptions
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        if options.channels is not None:
            self.adaptation.extend(Adaptation(options.channels, options.channels))
        self.dropout = nn.Dropout(options.dropout) if options.dropout else nn.Identity()
        self.guide: Guide | None = None
        if options.guidance != "plain":
            self.guide = Guide(backbone, self.adaptation.out_channels, options)

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, S, S) normalised images to what `loss` needs.

        Returns:
            "logits": (B, K). With guidance also "class_maps": (B, K, h, w) without gradient, and
            "b2", "b1" and maybe "c": (B, H, W) float32 logits of the size of their masks.
        """
        if self.guide is None:
            return super().forward(images, targets)
        stem, taps = self.backbone.tapped(images, self.guide.stages)
        features = self._adapted(stem)
        with torch.no_grad():
            class_maps = class_response(features, self.classifier)
        branches: dict[str, Tensor] = self.guide(taps, features)
        masked = {name: self._to_mask_size(b.float(), images) for name, b in branches.items()}
        return {"logits": self._logits(features), "class_maps": class_maps, **masked}

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images to (B, C, h, w) features before the class layer."""
        return self._adapted(self.backbone(images))

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K) and maps of h x w of (B, 3, H, W) normalised images."""
        found = super().localize(images, extents)
        if self.options.map_range == "raw":
            return found

        def maps_of(wanted: Sequence[Sequence[int]]) -> list[tuple[Tensor, ...]]:
            return [tuple(map(min_max, scales)) for scales in found.maps_of(wanted)]

        return replace(found, maps_of=maps_of)

    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Scalar terms "classification", "guidance_b2", "guidance_b1" and "guidance_c".

        The last three as far as there are such branches; all have weight 1. The masks carry no
        gradient, while what the branches learn reaches the backbone.
        """
        terms = super().loss(outputs, targets)
        for branch, mask in self._masks(outputs, targets).items():
            terms[f"guidance_{branch}"] = mask_loss(outputs[branch], mask)
        return terms

    def _adapted(self, features: Tensor) -> Tensor:
        for layer in self.adaptation:
            if isinstance(layer, nn.Conv2d):
                features = self.dropout(features)
            features = layer(features)
        dropped: Tensor = self.dropout(features)
        return dropped

    def _to_mask_size(self, branch: Tensor, images: Tensor) -> Tensor:
        size = self.options.mask_size
        if size == "map":
            return branch
        wanted = _size(images) if size == "input" else (size, size)
        return resize(branch, wanted, self.options.align_corners)

    @torch.no_grad()
    def _masks(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """(B, H, W) masks by the branch that learns from them (SPG, algorithm 1, lines 3 to 8)."""
        if "b2" not in outputs:
            return {}
        chosen, b1, b2 = self.options, outputs["b1"], outputs["b2"]
        attention = self._attention(outputs, targets, b2)
        masks = {"b2": self._split(attention, chosen.attention_high, chosen.attention_low)}
        if chosen.cascade:
            masks["b1"] = self._split(self._map(b2, b1), chosen.b2_high, chosen.b2_low)
        else:
            seen = self._attention(outputs, targets, b1)
            masks["b1"] = self._split(seen, chosen.attention_high, chosen.attention_low)
        if "c" in outputs:
            fused = (self._map(b1, outputs["c"]) + self._map(b2, outputs["c"])) / 2
            masks["c"] = self._split(fused, chosen.fused_high, chosen.fused_low)
        silent = attention.amax(dim=(1, 2)) < 1
        return {name: leave_out(mask, silent, targets.extents) for name, mask in masks.items()}

    def _attention(
        self, outputs: Mapping[str, Tensor], targets: Targets, learner: Tensor
    ) -> Tensor:
        maps, size = outputs["class_maps"], _size(learner)
        return labelled_attention(maps, targets.labels, size, self.options.align_corners)

    def _map(self, branch: Tensor, learner: Tensor) -> Tensor:
        """A branch's map in [0, 1], of the size of the branch that learns from it."""
        return resize(branch, _size(learner), self.options.align_corners).sigmoid()

    def _split(self, confidence: Tensor, high: float, low: float) -> Tensor:
        chosen = self.options
        return split_by_confidence(
            confidence, high, low, chosen.min_object, lasting=chosen.min_object_lasts
        )


def _stages(backbone: Backbone) -> tuple[str, str]:
    if backbone.name not in STAGES:
        raise ConfigError(
            f"method spg has no stages for its guidance in backbone {backbone.name}; use one of "
            f"{', '.join(STAGES)}, or guidance plain"
        )
    return STAGES[backbone.name]


def _size(maps: Tensor) -> tuple[int, int]:
    height, width = maps.shape[-2:]
    return height, width


def _to_one_channel(in_channels: int, width: int, convolutions: int = 1) -> nn.Sequential:
    """3x3 convolutions with ReLU, then 1x1 to one channel."""
    layers = nn.Sequential()
    for _ in range(convolutions):
        layers.extend(Adaptation(in_channels, width))
        in_channels = width
    return layers.append(nn.Conv2d(width, 1, 1))
