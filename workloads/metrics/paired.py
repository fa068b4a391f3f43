"""Two models on the same images: the difference of a metric, with its interval.

A bootstrap replicate counts an image as often for one model as for the other (its weight is a
hash of the image's id), so the replicates of two models are pairs. Their differences have the
spread that is left when both models see the same easy and hard images, which is smaller than
that of two intervals side by side.

# R replicates with the data themselves first
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workloads.errors import ConfigError
from workloads.metrics.base import Metric
from workloads.metrics.bootstrap import Interval, percentile_interval


class Pair(NamedTuple):
    """A metric's value for two models; NaN without any case."""

    champion: float
    candidate: float

    @property
    def difference(self) -> float:
        return self.candidate - self.champion


@dataclass(frozen=True, slots=True)
class Comparison:
    """A metric of two models on the same images.

    Attributes:
        values: over all classes, in [0, 1].
        interval: of candidate minus champion, by the paired bootstrap; None if no replicate has a
            case for both.
        share_better: of the replicates, in which the candidate is better; equal ones count half.
        per_class: class index to values, for the classes that have any for both.
        higher_is_better: false for errors.
    """

    metric: str
    values: Pair
    interval: Interval | None
    share_better: float
    per_class: dict[int, Pair]
    higher_is_better: bool

    @property
    def is_better(self) -> bool:
        """Whether the whole interval lies on the candidate's side."""
        if self.interval is None:
            return False
        low, high = self.interval
        return low > 0 if self.higher_is_better else high < 0

    @property
    def is_worse(self) -> bool:
        """Whether the whole interval lies on the champion's side."""
        if self.interval is None:
            return False
        low, high = self.interval
        return high < 0 if self.higher_is_better else low > 0


def compared(champion: Metric, candidate: Metric) -> Comparison:
    """Compare what two accumulators counted on the same images.

    Raises:
        ConfigError: they have no replicates (`bootstrap` is 0).
        ValueError: they do not count the same thing.
    """
    if type(champion) is not type(candidate) or champion.options != candidate.options:
        raise ValueError(f"cannot compare {champion.name} with {candidate.name}")
    options = champion.options
    if options.bootstrap == 0:
        raise ConfigError(
            "evaluate.metrics.bootstrap is 0, and two models are compared by its replicates; "
            "allowed: 1 to 10000, such as 200"
        )
    old, new = champion.result(), candidate.result()
    differences = new.layers[1:] - old.layers[1:]
    gains = differences if champion.higher_is_better else -differences
    gains = gains[np.isfinite(gains)]
    both = sorted(old.per_class.keys() & new.per_class.keys())
    return Comparison(
        metric=champion.name,
        values=Pair(old.value, new.value),
        interval=percentile_interval(differences, options.confidence),
        share_better=float((np.sign(gains) + 1).mean() / 2) if len(gains) else float("nan"),
        per_class={k: Pair(old.per_class[k], new.per_class[k]) for k in both},
        higher_is_better=champion.higher_is_better,
    )
