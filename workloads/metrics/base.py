"""The contract of a metric: a mergeable accumulator.

`update` on every image in any order, on any number of workers, then `merge`, gives bit for bit
what one process gives: accumulators hold integer counts, or lists that are sorted at the end.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from workloads.metrics.bootstrap import Interval, Weights, image_weights, percentile_interval
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions

Columns = dict[int, dict[str, Any]]
"""Class index to the metric's columns in the table of single images."""


@dataclass(frozen=True, slots=True)
class MetricResult:
    """The value of a metric in [0, 1].

    Attributes:
        value: over all classes; NaN without any case.
        interval: interval by the bootstrap over images; None if it was turned off or cannot be had.
        layers: (R,) the value of the data (up to rounding), then that of each replicate. A
            replicate draws the same images for every model, so those of two models are pairs.
        per_class: class index to value, for the classes that have any.
        centre: the same metric for the centre baseline; None where it has none.
        counted: number of cases (images, or image-class pairs) that entered.
        skipped: number of cases left out by definition (difficult objects, say).
        details: anything else worth keeping, JSON values (curves, counts).
    """

    value: float
    interval: Interval | None
    layers: NDArray[np.float64] = field(compare=False, repr=False)
    per_class: dict[int, float]
    centre: float | None
    counted: int
    skipped: int = 0
    details: dict[str, object] = field(default_factory=dict)


class Metric(abc.ABC):
    """Base of all metrics: `Metric(num_classes, options)`.

    Everything that a metric counts is an attribute with a leading underscore: an integer, an
    array of counts or a list of cases. `merge` adds them. Arrays of counts have the bootstrap
    replicates as their first axis, entry 0 being the data themselves; a case is counted by
    adding the image's weights.

    Class attributes:
        name: the registry name; also the prefix of its columns.
        title: name for tables and charts.
        uses: names of the options that the value depends on.
        columns: its facts about single images: column name to bool, int or float.
        higher_is_better: false for errors.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    uses: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[dict[str, type]] = {}
    higher_is_better: ClassVar[bool] = True

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        self.num_classes = num_classes
        self.options = options or MetricOptions()

    def use_classes(self, classes: Sequence[str]) -> None:
        """Told before the first image: names of the classes, in the order of their indices.

        Raises:
            ConfigError, NotFound: a file that the options name does not fit them or is missing.
        """
        self.classes = tuple(classes)

    @property
    def needs_all_maps(self) -> bool:
        """Whether it looks at the maps of classes that are not in the image, too."""
        return False

    @abc.abstractmethod
    def update(self, image: Evaluated) -> Columns:
        """Count one image; what it says about each class of it, by class index.

        Raises:
            NotFound: the map of a true class was not stored.
        """

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

    @property
    def used_options(self) -> dict[str, Any]:
        """The options that the value depends on."""
        values = self.options.model_dump(mode="json")
        bootstrap = ("bootstrap", "bootstrap_seed", "confidence")
        return {name: values[name] for name in (*self.uses, *bootstrap)}

    def zeros(self, *shape: int) -> NDArray[np.int64]:
        """(R, *shape) counts, one layer for the data and one for each bootstrap replicate."""
        return np.zeros((1 + self.options.bootstrap, *shape), np.int64)

    def weights(self, image: Evaluated) -> Weights:
        """(R,) how often an image counts in each layer."""
        return image.weights(self.options.bootstrap, self.options.bootstrap_seed)

    def weights_of(self, image_ids: Sequence[str]) -> NDArray[np.uint8]:
        """(N, R) the same for many images, for cases that are kept until the end."""
        rows = [
            image_weights(image_id, self.options.bootstrap, self.options.bootstrap_seed)
            for image_id in image_ids
        ]
        return np.array(rows, np.uint8).reshape(len(rows), 1 + self.options.bootstrap)

    def interval(self, layers: NDArray[np.float64]) -> Interval | None:
        """The interval of (R,) values, of which the first is that of the data."""
        return percentile_interval(layers[1:], self.options.confidence)

    def _require_same_kind(self, other: Metric) -> None:
        ours = (type(self), self.num_classes, self.options)
        theirs = (type(other), other.num_classes, other.options)
        if ours != theirs:
            raise ValueError(f"cannot merge accumulators of {theirs} into {ours}")
