"""Stages of a pipeline: each records its result, and a recorded stage is never run again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter

from orchestrator.config.places import restored, stored
from orchestrator.config.workspace import PipelinePaths
from orchestrator.engine.progress import say
from workloads.artifacts import exists, read_json, write_json

T = TypeVar("T")


@dataclass
class Stages:
    """Runs stages in order.

    Attributes:
        prepare: called once, before the first stage that has to run.
        seconds: time of each stage, of the run in which it was made.
    """

    paths: PipelinePaths
    prepare: Callable[[], None]
    seconds: dict[str, float] = field(default_factory=dict)
    prepared: bool = False

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
        _say(f"{name} ...")
        started = time.monotonic()
        result = work()
        self.seconds[name] = round(time.monotonic() - started, 1)
        output = stored(adapter.dump_python(result, mode="json"), self.paths.place)
        write_json(record, {"output": output, "seconds": self.seconds[name]})
        _say(f"{name}: {self.seconds[name]} s")
        return result

    def has(self, name: str) -> bool:
        """Whether a stage is recorded."""
        return exists(self.paths.stage(name))

    def _prepare_once(self) -> None:
        if not self.prepared:
            self.prepare()
            self.prepared = True


def _say(line: str) -> None:
    say(f"[{time.strftime('%H:%M:%S')}] {line}")
