"""Stages of a pipeline: each records its result, and a recorded stage is never run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter

from orchestrator.config.places import restored, stored
from orchestrator.config.workspace import PipelinePaths
from orchestrator.engine.progress import clock, say
from orchestrator.pipeline.plan import Planned
from workloads.artifacts import exists, read_json, write_json

T = TypeVar("T")


@dataclass
class Stages:
    """Runs stages in order.

    Attributes:
        prepare: called once, before the first stage that has to run.
        plan: the stages to come, as they are said before the first; called once, then, too.
        seconds: time of each stage, of the run in which it was made.
    """

    paths: PipelinePaths
    prepare: Callable[[], None]
    seconds: dict[str, float] = field(default_factory=dict)
    plan: Callable[[], Sequence[Planned]] = tuple
    prepared: bool = False
    planned: dict[str, Planned] = field(default_factory=dict)

    def run(self, name: str, kind: type[T], work: Callable[[], T]) -> T:
        """The result of a stage: recorded, or made now and then recorded.

        Args:
            kind: a dataclass; its record is itself as JSON.
        """
        record, adapter = self.paths.stage(name), TypeAdapter(kind)
        if exists(record):
            saved = restored(read_json(record), self.paths.place)
            self.seconds[name] = saved["seconds"]
            _say(f"{name}: done before")
            return adapter.validate_python(saved["output"])
        self._prepare_once()
        _say(f"{name} ...{self._expected(name)}")
        started = time.monotonic()
        result = work()
        self.seconds[name] = round(time.monotonic() - started, 1)
        output = stored(adapter.dump_python(result, mode="json"), self.paths.place)
        write_json(record, {"output": output, "seconds": self.seconds[name]})
        _say(f"{name}: {self.seconds[name]} s{self._left()}")
        return result

    def has(self, name: str) -> bool:
        """Whether a stage is recorded."""
        return exists(self.paths.stage(name))

    def _prepare_once(self) -> None:
        if self.prepared:
            return
        self.planned = {stage.name: stage for stage in self.plan()}
        for line in plan_lines(list(self.planned.values()), self.has):
            say(line)
        self.prepare()
        self.prepared = True

    def _expected(self, name: str) -> str:
        if name not in self.planned:
            return ""
        number = list(self.planned).index(name) + 1
        return f" ({number} of {len(self.planned)}{_about(self.planned[name].seconds)})"

    def _left(self) -> str:
        left = [stage for stage in self.planned.values() if stage.name not in self.seconds]
        if not left:
            return ""
        return f"; {len(left)} of {len(self.planned)} stages left{_about(_sum(left))}"


def plan_lines(plan: Sequence[Planned], has: Callable[[str], bool]) -> Iterator[str]:
    """The stages for people, each with what it does and how long it may take."""
    if not plan:
        return
    to_do = [stage for stage in plan if not has(stage.name)]
    yield f"{len(to_do)} of {len(plan)} stages to do{_about(_sum(to_do))}:"
    widths = [
        max(len(text) for text in texts)
        for texts in zip(*((s.name, s.work) for s in plan), strict=True)
    ]
    for stage in plan:
        time_s = "done before" if has(stage.name) else _about(stage.seconds).removeprefix(", ")
        yield f"  {stage.name:{widths[0]}}  {stage.work:{widths[1]}}  {time_s}".rstrip()


def _sum(stages: Sequence[Planned]) -> float | None:
    known = [stage.seconds for stage in stages if stage.seconds is not None]
    return sum(known) if len(known) == len(stages) else None


def _about(seconds: float | None) -> str:
    return "" if seconds is None else f", about {clock(seconds)}"


def _say(line: str) -> None:
    say(f"[{time.strftime('%H:%M:%S')}] {line}")
