"""Everything a model version says about itself, beside its weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from workloads.datasets.base import Task
from workloads.images import Fit
from workloads.options import Options

SCHEMA_VERSION = 2


class Preprocessing(Options):
    """How an upright RGB image becomes the network's input: made a square, normalised.

    Attributes:
        size: side of the square in pixels.
        fit: "warp" each side on its own, or "pad" below and to the right after scaling the
            longer side.
        ten_crop_margin: classification averages ten crops (corners and centre, mirrored too) of
            a square that is larger by this; None: maps and scores see the same input.
    """

    size: int = Field(gt=0)
    fit: Fit = "warp"
    ten_crop_margin: int | None = Field(default=None, gt=0)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Cutoffs(Options):
    """The parameters that turn stored scores and maps into boxes.

    Attributes:
        cutoff: pixels of the normalised map strictly above it are foreground.
        alpha: weight of the co-occurrence rescoring, 0 turns it off.
        score_threshold: classes with a rescored score of at least this get boxes.
        box_rule: one box per class from the largest component, or one from every component.
    """

    cutoff: float = Field(default=0.3, ge=0.0, lt=1.0)
    alpha: float = Field(default=0.0, ge=0.0)
    score_threshold: float = Field(default=0.5, ge=0.0)
    box_rule: Literal["largest", "all"] = "largest"


class ModelCard(Options):
    """One model version: self-sufficient, no threshold lives anywhere else.

    Attributes:
        method, method_options, backbone: how to rebuild the network.
        classes: class names in the order of the scores.
        cooccurrence: (K, K) rows; entry [i][j] is p(i | j) over the training labels.
        provenance: where it came from (run, data digest, versions, recipe), JSON values.
    """

    schema_version: int = SCHEMA_VERSION
    method: str
    method_options: dict[str, JsonValue]
    backbone: str
    task: Task
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    cutoffs: Cutoffs
    cooccurrence: tuple[tuple[float, ...], ...]
    provenance: dict[str, JsonValue]
