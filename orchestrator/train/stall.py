"""A training that stands still, and the workers that wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.workspace import RunPaths
from workloads.artifacts import read_json, remove, write_json
from workloads.errors import IntegrityError, NotFound
from workloads.storage.storage import storage_of

if TYPE_CHECKING:
    from workloads.training.run import TrainingRun


@contextmanager
def watched(training: TrainingRun, paths: RunPaths, seconds: float) -> Iterator[None]:
    """For the time of the block, note beside the run when this worker has not moved for so long."""
    stop = threading.Event()
    note = paths.stalled / f"rank-{training.team.share.rank:05d}.json"
    watcher = threading.Thread(target=_watch, args=(training, note, seconds, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _watch(training: TrainingRun, note: Path, seconds: float, stop: threading.Event) -> None:
    noted = False
    while not stop.wait(seconds / 4):
        activity = training.activity
        stands = activity.seconds() >= seconds
        with suppress(OSError):  # it is only shown; training does not depend on it
            if stands:
                place = {"waits_for": activity.name, "seconds": round(activity.seconds())}
                write_json(note, {"rank": training.team.share.rank, **place})
            elif noted:
                remove(note)
        noted = stands
    if noted:
        with suppress(OSError):
            remove(note)


def stalled(paths: RunPaths) -> str:
    """The workers that stand still, in one line; empty if all move."""
    found = []
    for note in storage_of(paths.stalled).files(paths.stalled):
        with suppress(OSError, NotFound, IntegrityError):
            found.append(read_json(note))
    if not found:
        return ""
    longest = max(one["seconds"] for one in found)
    ranks = ", ".join(f"rank {one['rank']} waits for {one['waits_for']}" for one in found)
    return f"no step for {longest} s: {ranks}"
