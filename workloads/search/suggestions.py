"""Points of a search space to try, by number: the same numbers and results give the same points.

Nothing is kept between two questions, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from workloads.errors import ConfigError
from workloads.registry import Registry
from workloads.space import Choice, Space, Values

Results = Mapping[int, tuple[Values, float | None]]
"""Number of a trial to its point and value, the higher the better; None: not known (yet)."""


class Suggestions(ABC):
    """One way to choose points.

    Args:
        space: of which every point is.
        seed: of what is random.
        start: the point to try first, as number 0; None for none.
        values_each: of a range in a grid.
    """

    name: ClassVar[str]

    def __init__(
        self, space: Space, seed: int = 0, start: Values | None = None, values_each: int = 3
    ) -> None:
        self.space = space
        self.seed = seed
        self.start = start
        self.values_each = values_each

    def suggest(self, number: int, results: Results) -> Values | None:
        """The point with a number; None after the last one.

        Args:
            results: of the trials that have begun.
        """
        if self.start is not None and number == 0:
            return self.start
        return self._next(number, results)

    @abstractmethod
    def _next(self, number: int, results: Results) -> Values | None:
        """A point that is not the start."""


class RandomSuggestions(Suggestions):
    """Points drawn on their own, uniform on the scales of the space."""

    name: ClassVar[str] = "random"

    def _next(self, number: int, results: Results) -> Values | None:
        return self.space.sample(np.random.default_rng((self.seed, number)))


class GridSuggestions(Suggestions):
    """Every combination of some values of each range and all of each choice, the start first."""

    name: ClassVar[str] = "grid"

    def _next(self, number: int, results: Results) -> Values | None:
        points = (p for p in self.space.grid(self.values_each) if p != self.start)
        place = number - (self.start is not None)
        return next(islice(points, place, None), None)


class TpeSuggestions(Suggestions):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna has it.

    It searches shares of what constraints leave, see `Space.at`. With several trials at once, what
    is suggested depends on which of them have ended.
    """

    name: ClassVar[str] = "tpe"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _optuna()

    def _next(self, number: int, results: Results) -> Values | None:
        optuna = _optuna()
        sampler = optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0]),
            n_startup_trials=5,
            constant_liar=True,
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        kinds = {name: self._distribution(name) for name in self.space}
        for _, (values, value) in sorted(results.items()):
            states = optuna.trial.TrialState
            study.add_trial(
                optuna.trial.create_trial(
                    params=self._numbered(values),
                    distributions=kinds,
                    value=value,
                    state=states.RUNNING if value is None else states.COMPLETE,
                )
            )
        return self.space.at(self._named(study.ask(kinds).params))

    def _distribution(self, name: str) -> Any:
        kinds = _optuna().distributions
        parameter = self.space[name]
        if isinstance(parameter, Choice):
            return kinds.CategoricalDistribution(tuple(range(len(parameter.values))))
        return kinds.FloatDistribution(0.0, 1.0)

    def _numbered(self, values: Values) -> dict[str, Any]:
        """Shares of ranges, and places of choices among theirs."""
        return {
            name: p.values.index(values[name])
            if isinstance(p := self.space[name], Choice)
            else share
            for name, share in self.space.shares(values).items()
        }

    def _named(self, shares: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: p.values[shares[name]] if isinstance(p, Choice) else shares[name]
            for name, p in self.space.items()
        }


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "search tpe needs the package optuna, which is not installed; install it, or choose "
            "random or grid"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


SUGGESTIONS: Registry[type[Suggestions]] = Registry(
    "search", {kind.name: kind for kind in (RandomSuggestions, GridSuggestions, TpeSuggestions)}
)
