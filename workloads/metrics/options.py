"""Every published variation that changes a number, named. Each result says what was used."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from workloads.localization.boxes import BoxWidths
from workloads.localization.cutoffs import DEFAULT_THRESHOLDS
from workloads.localization.points import ToleranceShape
from workloads.metrics.pairs import Blacklisted, DifficultOnly
from workloads.options import Options

PointingScore = Literal["class", "response"]
BoxProtocol = Literal["exact", "wsolevaluation"]


class MetricOptions(Options):
    """Options of the metrics' protocols."""

    iou: float = Field(
        default=0.5, gt=0.0, le=1.0, description="IoU from which a box counts as right"
    )
    box_widths: BoxWidths = Field(
        default="half_open",
        description="IoU of x1 - x0, or of x1 - x0 + 1 as ILSVRC's own code has it",
    )
    thresholds: int = Field(
        default=DEFAULT_THRESHOLDS, ge=1, le=10_000, description="cut-offs k/K that are swept"
    )
    protocol: BoxProtocol = Field(
        default="exact",
        description="MaxBoxAcc: exact in the image's frame, or step by step as wsolevaluation",
    )
    frame: int = Field(
        default=224, ge=1, le=4096, description="side of wsolevaluation's square, pixels"
    )
    pointing_tolerance_px: float = Field(
        default=15.0, ge=0.0, description="pixels of the image; 15 is meant for VOC's 500"
    )
    pointing_shape: ToleranceShape = Field(
        default="square", description="square as SPN's code, disc as TorchRay's"
    )
    pointing_difficult_only: DifficultOnly = Field(
        default="skip",
        description="classes with difficult objects alone: skip as TorchRay, count as SPN's code",
    )
    difficult_pairs: Path | None = Field(
        default=None,
        description="CSV or JSON table (image, class) of the difficult subset; else its definition",
    )
    prediction_tolerance_px: float = Field(
        default=18.0, ge=0.0, description="the same for pointing with prediction (Oquab)"
    )
    pointing_score: PointingScore = Field(
        default="class",
        description="what ranks points in pointing with prediction: the class score, or the "
        "response at the point; that needs the maps of all classes",
    )
    ap_score_threshold: float = Field(
        default=0.0,
        ge=0.0,
        description="classes that score less give detection AP no boxes; 0 ranks every stored map",
    )
    blacklisted: Blacklisted = Field(
        default="skip", description="ILSVRC's blacklisted images, in localization"
    )
    bootstrap: int = Field(
        default=200, ge=0, le=10_000, description="replicates for confidence intervals; 0: none"
    )
    bootstrap_seed: int = Field(default=0, description="seed of the replicates")
    confidence: float = Field(
        default=0.95, gt=0.0, lt=1.0, description="share of replicates inside the interval"
    )
