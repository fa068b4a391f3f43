"""Trials put together: mean and spread over seeds, and what became of each claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.comparison.measure import WITH_ALPHA
from workloads.comparison.plan import Claim, Plan


@dataclass(frozen=True, slots=True)
class Spread:
    """A value over seeds: its mean, and the standard deviation of one trial (N - 1)."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """NaN among the values makes both NaN; with one value there is no deviation."""
        array = np.asarray(values, dtype=np.float64)
        deviation = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
        return cls(float(array.mean()), deviation)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of a claim over the seeds.

    Attributes:
        better, than: values of both sides.
        difference: difference of the two on equal seeds.
        seeds_for: number of seeds on which the claim holds.
        holds: whether the mean difference is above 0 and larger than its standard error.
    """

    paper: str
    text: str
    data: str
    metric: str
    better: Spread
    than: Spread
    difference: Spread
    seeds_for: int
    seeds: int
    holds: bool


Trial = dict[str, Any]
"""{"training", "data", "seed", "readings": {name: values of `measure`}}; None is NaN."""


def table(plan: Plan, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """One row for each data set and reading: number of its seeds, and metric to its `Spread`."""
    return [
        {"data": data, "reading": reading, "seeds": len(seeds)}
        | {metric: Spread.of(list(values.values())) for metric, values in found.items()}
        for data in plan.data
        for reading in plan.readings(data)
        for found in [{m: by_seed(trials, data, reading, m) for m in plan.metrics}]
        if (seeds := found[plan.metrics[0]])
    ]


def verdicts(plan: Plan, trials: Sequence[Trial]) -> list[Verdict]:
    """Outcome of each claim that has a seed with both sides."""
    found = (_verdict(claim, trials) for claim in plan.claims)
    return [verdict for verdict in found if verdict is not None]


def _verdict(claim: Claim, trials: Sequence[Trial]) -> Verdict | None:
    better = by_seed(trials, claim.data, claim.better, claim.metric, with_alpha=claim.alpha)
    than = by_seed(trials, claim.data, claim.than, claim.metric)
    seeds = [seed for seed in better if seed in than]
    if not seeds:
        return None
    differences = np.subtract([better[s] for s in seeds], [than[s] for s in seeds])
    spread = Spread.of(differences.tolist())
    error = spread.deviation / np.sqrt(len(differences)) if len(differences) > 1 else 0.0
    return Verdict(
        paper=claim.paper,
        text=claim.text,
        data=claim.data,
        metric=claim.metric,
        better=Spread.of([better[seed] for seed in seeds]),
        than=Spread.of([than[seed] for seed in seeds]),
        difference=spread,
        seeds_for=int((differences > 0).sum()),
        seeds=len(differences),
        holds=bool(spread.mean > 0 and spread.mean > error),
    )


def by_seed(
    trials: Sequence[Trial], data: str, reading: str, metric: str, *, with_alpha: bool = False
) -> dict[int, float]:
    """The values of a reading, in the order of seeds."""
    found = {}
    for trial in trials:
        if trial["data"] == data and reading in trial["readings"]:
            values = trial["readings"][reading]
            value = (values[WITH_ALPHA] if with_alpha else values)[metric]
            found[trial["seed"]] = float("nan") if value is None else float(value)
    return {seed: found[seed] for seed in sorted(found)}
