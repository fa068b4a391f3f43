"""A tracker that hears nothing: for parts of something that is tracked as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from orchestrator.tracking.tracked_run import Run, Status
from orchestrator.tracking.tracker import Tracker


class Untracked(Tracker):
    """Takes everything that a tracker takes; imports and contacts nothing."""

    def __init__(self) -> None: ...

    def start_run(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None = None,
        *,
        wait: bool = True,
    ) -> Run:
        return Run(uuid.uuid4().hex, name, {}, {}, parent)

    def follow(self, run: Run, events: Path) -> ExitStack:
        return ExitStack()

    def log_metrics(self, run: Run, metrics: Mapping[str, float], step: int = 0) -> None: ...

    def log_artifact(self, run: Run, path: Path, folder: str | None = None) -> None: ...

    def close(self, run: Run, status: Status) -> None: ...
