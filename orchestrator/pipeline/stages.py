"""Stages of a job: each records what it made, and a recorded stage is never run again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.workspace import JobPaths
from workloads.artifacts import read_json, write_json


@dataclass
class Stages:
    """Runs stages in order and remembers their outputs (JSON values).

    Attributes:
        prepare: called once, before the first stage that has to run.
    """

    paths: JobPaths
    prepare: Callable[[], None]
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    prepared: bool = False

    def run(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The output of a stage: recorded, or made now and then recorded."""
        record = self.paths.stage(name)
        if record.exists():
            saved = read_json(record)
            _say(f"{name}: done before")
        else:
            self._prepare_once()
            _say(f"{name} ...")
            started = time.monotonic()
            saved = {"output": work(), "seconds": round(time.monotonic() - started, 1)}
            write_json(record, saved)
            _say(f"{name}: {saved['seconds']} s")
        self.outputs[name] = saved["output"]
        self.seconds[name] = saved["seconds"]
        return self.outputs[name]

    def _prepare_once(self) -> None:
        if not self.prepared:
            self.prepare()
            self.prepared = True


def _say(line: str) -> None:
    sys.stderr.write(f"[{time.strftime('%H:%M:%S')}] {line}\n")
    sys.stderr.flush()
