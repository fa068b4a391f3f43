"""Everything a model version says about itself, beside its weights."""

from __future__ import annotations

from pydantic import Field, JsonValue

from workloads.images.decode import Fit
from workloads.localization.cutoffs import Cutoffs
from workloads.options import Options
from workloads.records import Task

SCHEMA_VERSION = 3


class Preprocessing(Options):
    """Steps from an upright RGB image to the network's input: squared, then normalised.

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


class ModelCard(Options):
    """One model version: self-sufficient, no threshold lives anywhere else.

    Attributes:
        method, method_options, backbone: names and options to rebuild the network.
        classes: class names in the order of the scores.
        cooccurrence: (K, K) rows; entry [i][j] is p(i | j) over the training labels.
        provenance: origin (run, data digest, versions, recipe), JSON values.
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
