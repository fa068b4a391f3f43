"""Declarations of search spaces: ranges, choices, and which parameter lies below which.

A component declares its space beside its options. Samples satisfy every order by construction:
a parameter's range is narrowed by those that are chosen already, so nothing is drawn in vain.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from workloads.errors import ConfigError, unknown_name

Scale = Literal["linear", "log"]
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        scale: "log" spreads samples and grids evenly over orders of magnitude.
        integer: whole numbers only.

    Raises:
        ConfigError: no number lies between them, or not on that scale.
    """

    low: float
    high: float
    scale: Scale = "linear"
    integer: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high or not math.isfinite(self.low + self.high):
            raise ConfigError(f"range {self.low} to {self.high}: give a finite low <= high")
        if self.scale == "log" and self.low <= 0:
            raise ConfigError(f"range {self.low} to {self.high}: a log scale starts above 0")

    def at(self, share: float) -> float:
        """The number at a share in [0, 1] of the way from low to high."""
        if self.scale == "log":
            value = math.exp(math.log(self.low) * (1 - share) + math.log(self.high) * share)
        else:
            value = self.low * (1 - share) + self.high * share
        value = min(max(value, self.low), self.high)
        return round(value) if self.integer else value

    def grid(self, points: int) -> list[float]:
        """Evenly spaced numbers, each once."""
        shares = [0.5] if points == 1 else np.linspace(0, 1, points).tolist()
        return list(dict.fromkeys(map(self.at, shares)))

    def __contains__(self, value: object) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, whatever their type.

    Raises:
        ConfigError: there is none.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("a choice has no values; give at least one")

    def __contains__(self, value: object) -> bool:
        return value in self.values


Domain = Range | Choice


@dataclass(frozen=True)
class Space:
    """Parameters worth searching, by name.

    Attributes:
        below: pairs of parameters of which the first lies below the second, always.

    Raises:
        ConfigError: a pair names an unknown parameter or a choice, or cannot be satisfied.
    """

    parameters: Mapping[str, Domain] = field(default_factory=dict)
    below: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for lower, upper in self.below:
            low, high = self._range(lower), self._range(upper)
            if low.low >= high.high:
                raise ConfigError(
                    f"'{lower}' from {low.low} is never below '{upper}' up to {high.high}"
                )

    def __or__(self, other: Space) -> Space:
        """Both together; the other's parameters win."""
        return Space({**self.parameters, **other.parameters}, (*self.below, *other.below))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return tuple(self.parameters)

    def sample(self, rng: np.random.Generator) -> Values:
        """Random values that satisfy every order."""
        chosen: Values = {}
        for name in self._ordered():
            domain = self._left(name, chosen)
            if isinstance(domain, Choice):
                chosen[name] = domain.values[int(rng.integers(len(domain.values)))]
            else:
                chosen[name] = domain.at(float(rng.random()))
        return {name: chosen[name] for name in self.parameters}

    def grid(self, points: int) -> Iterator[Values]:
        """Every combination of `points` values of each range and of all choices."""
        names = self._ordered()
        axes = [
            list(d.values) if isinstance(d, Choice) else d.grid(points)
            for d in map(self.parameters.__getitem__, names)
        ]
        for values in itertools.product(*axes):
            found = dict(zip(names, values, strict=True))
            if found in self:
                yield {name: found[name] for name in self.parameters}

    def __contains__(self, values: object) -> bool:
        """Whether values of some of the parameters lie in the space."""
        if not isinstance(values, Mapping) or not values.keys() <= self.parameters.keys():
            return False
        ordered = all(
            values[lower] < values[upper]
            for lower, upper in self.below
            if lower in values and upper in values
        )
        return ordered and all(value in self.parameters[n] for n, value in values.items())

    def describe(self) -> list[dict[str, Any]]:
        """Each parameter as JSON values."""
        return [
            {
                "name": name,
                **(
                    {"choices": list(domain.values)}
                    if isinstance(domain, Choice)
                    else {"low": domain.low, "high": domain.high, "scale": domain.scale}
                ),
                "below": [upper for lower, upper in self.below if lower == name],
            }
            for name, domain in self.parameters.items()
        ]

    def _range(self, name: str) -> Range:
        if name not in self.parameters:
            raise ConfigError(unknown_name("parameter", name, self.parameters))
        domain = self.parameters[name]
        if isinstance(domain, Choice):
            raise ConfigError(f"'{name}' is a choice; only ranges have an order")
        return domain

    def _ordered(self) -> list[str]:
        """Names, lower ones first."""
        uppers: dict[str, set[str]] = {name: set() for name in self.parameters}
        for lower, upper in self.below:
            uppers[upper].add(lower)
        done: list[str] = []
        while len(done) < len(uppers):
            ready = [n for n in uppers if n not in done and uppers[n] <= set(done)]
            if not ready:
                raise ConfigError(f"parameters lie below each other in a circle: {self.below}")
            done += ready
        return done

    def _left(self, name: str, chosen: Values) -> Domain:
        """The rest of a parameter's range, given those below it."""
        domain = self.parameters[name]
        if isinstance(domain, Choice):
            return domain
        least = [chosen[lower] for lower, upper in self.below if upper == name]
        low = max([domain.low, *(_above(value, domain.integer) for value in least)])
        return Range(low, self._most(name), domain.scale, domain.integer)

    def _most(self, name: str) -> float:
        """The highest value that leaves room for all that lies above."""
        domain = self._range(name)
        tops = [self._most(upper) for lower, upper in self.below if lower == name]
        return min([domain.high, *(_under(top, domain.integer) for top in tops)])


def _above(value: float, integer: bool) -> float:
    return value + 1 if integer else math.nextafter(value, math.inf)


def _under(value: float, integer: bool) -> float:
    return value - 1 if integer else math.nextafter(value, -math.inf)
