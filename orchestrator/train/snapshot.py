"""Ray Train's list of checkpoints, kept so that a kill while it is written does not lose them.

Ray writes `checkpoint_manager_snapshot.json` over itself, in place; whoever is killed there leaves
half of it, and no training of that name would start again. A copy is made after each report. The
checkpoints that it names are there: Ray removes old ones only when the next list is written.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.config.workspace import RunPaths
from workloads.artifacts import atomic_file, copy_file, exists, remove
from workloads.storage.storage import storage_of

SNAPSHOT = "checkpoint_manager_snapshot.json"  # Ray's name
_COPY = "last-whole-snapshot.json"


def snapshot_of(paths: RunPaths) -> Path:
    """Ray Train's list of the checkpoints of a run."""
    return paths.ray_storage / paths.name / SNAPSHOT


def mend(snapshot: Path) -> None:
    """Put the last whole list in the place of one that is torn; without one, remove it."""
    if not exists(snapshot) or _is_whole(snapshot):
        return
    copy = snapshot.with_name(_COPY)
    if exists(copy):
        _copy(copy, snapshot)
    else:
        remove(snapshot)


def keeper_of(snapshot: Path) -> Any:
    """Copies the list after every report, on Ray Train's controller."""
    from ray.train import UserCallback

    class SnapshotKeeper(UserCallback):
        def after_report(self, run_context: Any, metrics: list[Any], checkpoint: Any) -> None:
            keep(snapshot)

    return SnapshotKeeper()


def keep(snapshot: Path) -> None:
    """Copy a list that is whole; a copy that cannot be written stays the one before."""
    with suppress(OSError):
        if exists(snapshot):
            _copy(snapshot, snapshot.with_name(_COPY))


def _copy(source: Path, target: Path) -> None:
    with atomic_file(target) as temporary:
        copy_file(source, temporary)


def _is_whole(snapshot: Path) -> bool:
    with storage_of(snapshot).open(snapshot) as stream:
        try:
            json.loads(stream.read())
        except ValueError:
            return False
    return True
