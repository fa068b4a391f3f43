"""Trials of a sweep in the order in which they begin."""

from __future__ import annotations

import time
from itertools import count
from typing import Protocol

from orchestrator.config.workspace import SweepPaths
from orchestrator.engine.progress import say
from orchestrator.sweep.trial import TrialsSpec
from orchestrator.sweep.trials import Trial, Trials, best_of, results_of, short
from workloads.errors import WsolError, first_of
from workloads.search.suggestions import Results
from workloads.space import Values


class Points(Protocol):
    """Values of trials by number; `Suggestions` are some."""

    def suggest(self, number: int, results: Results) -> Values | None:
        """The values of a trial; None after the last one."""


class TrialQueue:
    """Trials to run, one after the other or side by side: unfinished ones first, then new ones.

    Whoever runs them asks for the next one and says what became of it.
    """

    def __init__(self, spec: TrialsSpec, points: Points, paths: SweepPaths) -> None:
        self.spec = spec
        self.paths = paths
        self._points = points
        self._store = Trials(paths)
        self.trials = self._store.read()
        self._waiting = [n for n, trial in self.trials.items() if not trial.ended]
        self._deadline = _deadline(spec.options.minutes)

    def next(self) -> Trial | None:
        """The next trial; None when there is none to begin any more."""
        if self._waiting and not self.is_over:
            return self.trials[self._waiting.pop(0)]
        number = next(n for n in count() if n not in self.trials)
        if self.is_over or number >= self.spec.options.trials:
            return None
        values = self._points.suggest(number, results_of(self.trials))
        if values is None:
            return None
        self.trials[number] = self._store.begin(number, values)
        return self.trials[number]

    def ended(self, trial: Trial) -> None:
        """Take note of what became of a trial, and say it."""
        self._store.write(trial)
        self.trials[trial.number] = trial
        say(self._line(trial))

    @property
    def failed(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.state == "failed"]

    @property
    def is_over(self) -> bool:
        """Whether nothing new may begin: time is up, or too much failed."""
        return time.monotonic() >= self._deadline or self._too_many_failed

    @property
    def left(self) -> int:
        """Trials that are to end yet."""
        ended = sum(trial.ended for trial in self.trials.values())
        return self.spec.options.trials - ended

    def check(self) -> None:
        """Raise if too many trials failed."""
        if self._too_many_failed:
            said = first_of([f"trial {t.number}: {t.error}" for t in self.failed], 3)
            raise WsolError(
                f"sweep '{self.paths.name}': {len(self.failed)} of {len(self.trials)} trials "
                f"failed, at most {self.spec.options.max_failed} may (sweep.max_failed): {said}"
            )

    @property
    def _too_many_failed(self) -> bool:
        return len(self.failed) > self.spec.options.max_failed

    def _line(self, trial: Trial) -> str:
        done = sum(t.ended for t in self.trials.values())
        best = best_of(self.trials) if self.spec.searches else None
        became = {
            "finished": f"{self.spec.metric} {_number(trial.value)}",
            "failed": f"failed: {trial.error}",
            "stopped": f"ended after epoch {trial.epochs}",
        }[trial.state]
        leader = f"; best {best.value:.4f} (trial {best.number})" if best else ""
        points = ", ".join(f"{k} {short(v)}" for k, v in trial.values.items())
        return (
            f"sweep {self.paths.name}: {done}/{self.spec.options.trials} trials, "
            f"trial {trial.number} {became} in {trial.seconds:.0f} s{leader} [{points}]"
        )


def _number(value: float | None) -> str:
    return "without a case" if value is None else f"{value:.4f}"


def _deadline(minutes: float | None) -> float:
    return float("inf") if minutes is None else time.monotonic() + 60 * minutes
