"""Trials of a sweep: each a training in a folder of its own, with a record of what became of it."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from orchestrator.config.workspace import SweepPaths
from workloads.artifacts import read_json, write_json
from workloads.options import Options
from workloads.search.suggestions import Results
from workloads.space import Values

State = Literal["begun", "finished", "stopped", "failed"]


class Trial(Options):
    """A point of the space, and what became of it.

    Attributes:
        values: the training's parameters.
        state: "stopped": ended early, by its validation curve.
        value: of the metric that is maximised, at the trial's own best cut-offs.
        measured: all metrics of the search of its cut-offs.
        cutoffs: its own best cut-offs.
        readings: of a plan, what each way to read its weights found on the test split.
        epochs, seconds: how long it was trained.
        error: why it failed, one line.
    """

    number: int
    values: dict[str, Any]
    state: State = "begun"
    value: float | None = None
    measured: dict[str, float] = Field(default={})
    cutoffs: dict[str, Any] = Field(default={})
    readings: dict[str, dict[str, Any]] = Field(default={})
    epochs: int = 0
    seconds: float = 0.0
    error: str | None = None

    @property
    def ended(self) -> bool:
        return self.state != "begun"


class Trials:
    """The trials of a sweep in its folder; a record is written whole, so a kill loses none.

    Whoever looks again and again keeps one of these: what has ended is read once.
    """

    def __init__(self, paths: SweepPaths) -> None:
        self.paths = paths
        self._ended: dict[int, Trial] = {}

    def read(self) -> dict[int, Trial]:
        """All that have begun, by number."""
        found = {n: self._ended.get(n) or self.read_one(n) for n in self.paths.begun()}
        self._ended = {number: trial for number, trial in found.items() if trial.ended}
        return found

    def read_one(self, number: int) -> Trial:
        record = self.paths.record(number)
        return Trial.parse(_with_tuples({**read_json(record), "number": number}), str(record))

    def begin(self, number: int, values: Values) -> Trial:
        """Note a point before its training begins, so that it is the same after a kill."""
        trial = Trial(number=number, values=dict(values))
        self.write(trial)
        return trial

    def write(self, trial: Trial) -> None:
        self._ended.pop(trial.number, None)
        write_json(self.paths.record(trial.number), trial.model_dump(mode="json"))


def results_of(trials: dict[int, Trial]) -> Results:
    """Results to learn from; trials that failed or were stopped early teach nothing."""
    return {
        number: (trial.values, trial.value)
        for number, trial in trials.items()
        if trial.state in ("begun", "finished")
    }


def best_of(trials: dict[int, Trial]) -> Trial | None:
    """The finished trial with the highest value, the first of equal ones."""
    finished = [t for t in trials.values() if t.value is not None and not math.isnan(t.value)]
    return max(finished, key=lambda t: (t.value, -t.number), default=None)


def short(value: Any) -> str:
    """A value as people read it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _with_tuples(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where a choice has tuples."""
    values = {name: _tuple(value) for name, value in record["values"].items()}
    return {**record, "values": values}


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value
