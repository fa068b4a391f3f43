"""The contract of a metric: a mergeable accumulator.

`update` on every image in any order, on any number of workers, then `merge`, gives bit for bit
what one process gives: accumulators hold integer counts or lists that are sorted at the end.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workloads.localization.component_tree import DEFAULT_THRESHOLDS
from workloads.localization.maps import normalize, upsample
from workloads.localization.points import ToleranceShape
from workloads.model_card import Cutoffs
from workloads.options import Options
from workloads.predictions import Prediction


class MetricOptions(Options):
    """What the protocols leave open. Every result says in its details which were used."""

    iou: float = Field(
        default=0.5, gt=0.0, le=1.0, description="IoU from which a box counts as right"
    )
    thresholds: int = Field(
        default=DEFAULT_THRESHOLDS, ge=1, le=10_000, description="cut-offs k/K that are swept"
    )
    pointing_tolerance_px: float = Field(
        default=15.0, ge=0.0, description="pixels of the image; 15 is meant for VOC's 500"
    )
    pointing_shape: ToleranceShape = Field(
        default="square", description="square as SPN's code, disc as TorchRay's"
    )


@dataclass(frozen=True)
class Evaluated:
    """One image as metrics see it: its prediction, rescored, with maps in the image's frame.

    Attributes:
        prediction: stored scores and maps with the ground truth.
        scores: (K,) float32 class scores after co-occurrence rescoring.
        cutoffs: the model's parameters; `scores` are rescored already.
    """

    prediction: Prediction
    scores: NDArray[np.float32]
    cutoffs: Cutoffs

    @cached_property
    def _cache(self) -> dict[int, NDArray[np.float32]]:
        return {}

    def map01(self, label: int) -> NDArray[np.float32]:
        """(height, width) map of one class, upsampled to the image and normalised to [0, 1]."""
        if label not in self._cache:
            p = self.prediction
            self._cache[label] = normalize(upsample(p.map_of(label), p.width, p.height))
        return self._cache[label]


@dataclass(frozen=True, slots=True)
class MetricResult:
    """The value of a metric in [0, 1].

    Attributes:
        value: over all classes.
        per_class: class index to value, for the classes that have any.
        centre: the same metric for the centre baseline; None where it has none.
        counted: how many cases (images, or image-class pairs) entered.
        skipped: how many were left out by definition (difficult objects, say).
        details: anything else worth keeping, JSON values (curves, variants).
    """

    value: float
    per_class: dict[int, float]
    centre: float | None
    counted: int
    skipped: int = 0
    details: dict[str, object] = field(default_factory=dict)


class Metric(abc.ABC):
    """Base of all metrics: `Metric(num_classes, options)`.

    Everything that a metric counts is an attribute with a leading underscore: an integer, an
    array of counts or a list of cases. `merge` adds them.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        self.num_classes = num_classes
        self.options = options or MetricOptions()

    @abc.abstractmethod
    def update(self, image: Evaluated) -> None:
        """Count one image."""

    @abc.abstractmethod
    def result(self) -> MetricResult:
        """The value so far. Without any case the value is NaN."""

    def merge(self, other: Self) -> None:
        """Add the counts of another accumulator.

        Raises:
            ValueError: it does not count the same thing.
        """
        self._require_same_kind(other)
        for name, counts in vars(self).items():
            if name.startswith("_"):
                setattr(self, name, counts + getattr(other, name))

    def _require_same_kind(self, other: Metric) -> None:
        ours = (type(self), self.num_classes, self.options)
        theirs = (type(other), other.num_classes, other.options)
        if ours != theirs:
            raise ValueError(f"cannot merge accumulators of {theirs} into {ours}")


def mean_over_classes(values: Sequence[float]) -> float:
    """Mean of per-class values, NaN if there are none."""
    return float(np.mean(values)) if len(values) else float("nan")


def ratios(hits: NDArray[np.int64], counts: NDArray[np.int64]) -> dict[int, float]:
    """(K,) hits and counts to class index -> hits / counts, for the classes that have any."""
    return {int(k): float(hits[k] / counts[k]) for k in np.flatnonzero(counts)}


def ratio(hits: int | np.integer, count: int | np.integer) -> float:
    """hits / count, NaN without any count."""
    return float(hits / count) if count else float("nan")
