"""Search spaces: the parameters worth searching, their ranges, and what must hold between them.

A space is declared beside the options that it is about. Whatever it gives (a sample, a grid, the
nearest point to given values) satisfies its constraints by construction: a parameter is drawn
from that part of its range which the ones below it leave, so nothing is drawn in vain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Literal

from workloads.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    import numpy as np  # for its name alone: settings are read without numpy

Scale = Literal["linear", "log"]
Value = bool | int | float | str | tuple[Any, ...] | None
Values = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers from `low` to `high`, both included.

    Attributes:
        scale: "log" gives each factor the same weight, "linear" each difference.
        integer: whole numbers only.

    Raises:
        ConfigError: no number is in it, it has no end, a logarithmic one reaches 0, or an end
            of whole numbers is none.
    """

    low: float
    high: float
    scale: Scale = "linear"
    integer: bool = False

    def __post_init__(self) -> None:
        given = f"range {self.low} to {self.high}"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigError(f"{given}: both ends must be finite numbers")
        if self.low > self.high:
            raise ConfigError(f"{given}: low must be at most high; swap them")
        if self.scale == "log" and self.low <= 0:
            raise ConfigError(f"{given}: a log scale needs low above 0; raise it or use linear")
        if self.integer and not (_is_whole(self.low) and _is_whole(self.high)):
            raise ConfigError(f"{given}: ends of integers must be whole numbers; round them")

    def sample(self, rng: np.random.Generator) -> float | int:
        """One number, uniform on the scale."""
        return self.at(float(rng.random()))

    def at(self, share: float) -> float | int:
        """The number at a share, 0 to 1, of the way from `low` to `high` on the scale."""
        # Each whole number stands for all that round to it, so that the ends are as likely.
        reach = 0.5 if self.integer else 0.0
        return self.clipped(self._between(share, self.low - reach, self.high + reach))

    def grid(self, n: int) -> tuple[float | int, ...]:
        """`n` numbers from end to end, evenly on the scale, or fewer whole ones; 1: the middle."""
        shares = [i / (n - 1) for i in range(n)] if n > 1 else [0.5]
        points = (self.clipped(self._between(share, self.low, self.high)) for share in shares)
        return tuple(dict.fromkeys(points))

    def share(self, value: float) -> float:
        """The share of the way from `low` to `high`, 0 to 1, at which a number stands."""
        reach = 0.5 if self.integer else 0.0
        value, low, high = (self._on_scale(v) for v in (value, self.low - reach, self.high + reach))
        return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0

    def contains(self, value: object) -> bool:
        """Whether a value is such a number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.integer or _is_whole(value))

    def clipped(self, value: Value) -> float | int:
        """The nearest number of the range.

        Raises:
            ConfigError: the value is no number.
        """
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise ConfigError(f"{value!r} is no number; give one from {self.low} to {self.high}")
        inside = min(max(value, self.low), self.high)
        return round(inside) if self.integer else float(inside)

    def within(self, low: float, high: float) -> Range:
        """The part of the range between two numbers; `high` prevails over a `low` above it."""
        high = min(self.high, math.floor(high) if self.integer else high)
        low = max(self.low, math.ceil(low) if self.integer else low)
        return Range(min(low, high), high, self.scale, self.integer)

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def _between(self, share: float, low: float, high: float) -> float:
        low, high = self._on_scale(low), self._on_scale(high)
        value = low + share * (high - low)
        return math.exp(value) if self.scale == "log" else value

    def _on_scale(self, value: float) -> float:
        return math.log(value) if self.scale == "log" else value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, in no order.

    Raises:
        ConfigError: there are none.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("a choice of no values; give at least one")

    def sample(self, rng: np.random.Generator) -> Value:
        """One value, each as likely."""
        return self.values[int(rng.integers(len(self.values)))]

    def grid(self, n: int) -> tuple[Value, ...]:
        """All values, whatever `n` is."""
        return self.values

    def contains(self, value: object) -> bool:
        """Whether it is one of the values."""
        return value in self.values

    def clipped(self, value: Value) -> Value:
        """The value itself: there is no nearest one to another.

        Raises:
            ConfigError: it is none of the values.
        """
        if not self.contains(value):
            allowed = ", ".join(map(repr, self.values))
            raise ConfigError(f"{value!r} is not among the choices; allowed: {allowed}")
        return value

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return {"values": [list(v) if isinstance(v, tuple) else v for v in self.values]}


Parameter = Range | Choice
Pick = Callable[[str, Parameter], Iterable[Value]]


@dataclass(frozen=True, slots=True)
class Below:
    """A constraint: one parameter stays below another, by at least `gap` (above 0)."""

    lower: str
    upper: str
    gap: float

    def __post_init__(self) -> None:
        if not 0 < self.gap < math.inf:
            raise ConfigError(f"{self}: the gap must be a number above 0; give the least one")

    def __str__(self) -> str:
        return f"{self.lower} + {self.gap:g} <= {self.upper}"

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether values have the gap, but for rounding."""
        least = values[self.lower] + self.gap
        upper = values[self.upper]
        return bool(upper >= least or math.isclose(upper, least, abs_tol=1e-12))


@dataclass(frozen=True)
class Space(Mapping[str, Parameter]):
    """Parameters by name, in the order of their declaration, with constraints between them.

    Raises:
        ConfigError: no values satisfy the constraints, or one names an unknown parameter or a
            choice.
    """

    parameters: Mapping[str, Parameter]
    constraints: tuple[Below, ...] = ()

    def __post_init__(self) -> None:
        for constraint in self.constraints:
            for name in (constraint.lower, constraint.upper):
                self._range(name, constraint)
        for name, most in self._most.items():
            self._check_room(name, most)

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def sample(self, rng: np.random.Generator) -> Values:
        """One value for each parameter.

        A parameter with others below it is uniform on what they leave of its range.
        """
        return next(self._walk(lambda name, left: [left.sample(rng)]))

    def grid(self, n: int) -> Iterator[Values]:
        """Every combination of `n` values of each range and all of each choice.

        A parameter with others below it has its `n` values on what they leave of its range.

        Raises:
            ConfigError: `n` is below 1.
        """
        if n < 1:
            raise ConfigError(f"a grid of {n} values; give at least 1")
        return self._walk(lambda name, left: left.grid(n))

    def at(self, shares: Mapping[str, Any]) -> Values:
        """Values at shares, 0 to 1, of what those below leave of a range; a choice's own value.

        So whoever knows neither scales nor constraints can search: every point is in the space.
        """
        return next(
            self._walk(
                lambda name, left: [
                    left.at(shares[name]) if isinstance(left, Range) else left.clipped(shares[name])
                ]
            )
        )

    def shares(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The shares at which `at` has these values, but for rounding."""
        left = {name: self._left(name, values) for name in self}
        return {
            name: p.share(values[name]) if isinstance(p, Range) else values[name]
            for name, p in left.items()
        }

    def contains(self, values: Mapping[str, Value]) -> bool:
        """Whether every parameter has a value in its range, and all constraints hold.

        Raises:
            ConfigError: a name is unknown; the message names the nearest.
        """
        self._check_names(values)
        inside = all(name in values and self[name].contains(values[name]) for name in self)
        return inside and all(constraint.holds(values) for constraint in self.constraints)

    def clipped(self, values: Mapping[str, Value]) -> Values:
        """Values in the space, each the nearest to the given one that those below it leave.

        Raises:
            ConfigError: a name is unknown or missing, or a value is no number or no choice.
        """
        self._check_names(values)
        missing = [name for name in self if name not in values]
        if missing:
            raise ConfigError(f"no value for {', '.join(missing)}; give one for each parameter")
        return next(self._walk(lambda name, left: [left.clipped(values[name])]))

    def describe(self) -> dict[str, Any]:
        """Parameters and constraints as JSON."""
        return {
            "parameters": {name: parameter.describe() for name, parameter in self.items()},
            "constraints": [str(constraint) for constraint in self.constraints],
        }

    def _walk(self, pick: Pick) -> Iterator[Values]:
        """All values that come of picking for one parameter after the other, lower ones first."""
        return self._extended({}, self._order, pick)

    def _extended(self, chosen: Values, names: tuple[str, ...], pick: Pick) -> Iterator[Values]:
        if not names:
            yield {name: chosen[name] for name in self}
            return
        for value in pick(names[0], self._left(names[0], chosen)):
            yield from self._extended({**chosen, names[0]: value}, names[1:], pick)

    def _left(self, name: str, chosen: Mapping[str, Any]) -> Parameter:
        """The part of a parameter's range above the chosen ones and below those to come."""
        parameter = self[name]
        if isinstance(parameter, Choice):
            return parameter
        below = (chosen[c.lower] + c.gap for c in self.constraints if c.upper == name)
        return parameter.within(max(below, default=parameter.low), self._most[name])

    @cached_property
    def _order(self) -> tuple[str, ...]:
        """All names, each behind those that are below it."""
        below = {name: [c.lower for c in self.constraints if c.upper == name] for name in self}
        try:
            return tuple(TopologicalSorter(below).static_order())
        except CycleError as error:
            circle = " < ".join(error.args[1])
            raise ConfigError(f"constraints {circle}: a circle; remove one of them") from None

    @cached_property
    def _most(self) -> dict[str, float]:
        """The highest value of each range that leaves room for the ones above it."""
        most: dict[str, float] = {}
        for name in reversed(self._order):
            if isinstance(parameter := self[name], Range):
                above = (most[c.upper] - c.gap for c in self.constraints if c.lower == name)
                high = min(parameter.high, min(above, default=parameter.high))
                most[name] = math.floor(high) if parameter.integer else high
        return most

    def _check_room(self, name: str, most: float) -> None:
        least = self._range(name).low
        if least > most:
            said = ", ".join(map(str, self.constraints))
            raise ConfigError(
                f"constraints {said}: {name} is at least {least:g} and could be at most {most:g}; "
                "widen a range or lower a gap"
            )

    def _range(self, name: str, constraint: Below | None = None) -> Range:
        said = f"constraint {constraint}: " if constraint else ""
        if name not in self.parameters:
            raise ConfigError(f"{said}{unknown_name('parameter', name, self)}")
        parameter = self[name]
        if isinstance(parameter, Choice):
            raise ConfigError(f"{said}{name} is a choice, which has no order; name a range")
        return parameter

    def _check_names(self, values: Mapping[str, Value]) -> None:
        for name in values:
            if name not in self.parameters:
                raise ConfigError(unknown_name("parameter", name, self))


def _is_whole(value: float) -> bool:
    return float(value).is_integer()
