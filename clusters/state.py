"""What is remembered about clusters that this user started: one folder each.

A cluster belongs to a user and not to a workspace: two workspaces may use it, and it is still
there when a workspace is deleted. So its state is where a user's state is kept,
`$XDG_STATE_HOME/wsol/clusters/NAME`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from workloads.artifacts import write_json
from workloads.errors import ClusterError, ConfigError

STATE_VARIABLE = "XDG_STATE_HOME"


def state_folder(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of a cluster's state, made for its user alone.

    Raises:
        ConfigError: this user has no home, and nothing else is named, or it cannot be made.
    """
    named = environment.get(STATE_VARIABLE)
    try:
        root = Path(named) if named else Path.home() / ".local" / "state"
        folder = root / "wsol" / "clusters" / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (RuntimeError, OSError) as error:
        raise ConfigError(
            f"no folder for the state of clusters: {error}; set ${STATE_VARIABLE} to one"
        ) from None
    return folder


def read_state(file: Path) -> dict[str, Any] | None:
    """A JSON object that was written before; None if there is none that can be read."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_state(file: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object whole or not at all."""
    write_json(file, dict(value))


@contextmanager
def changing(folder: Path, name: str) -> Iterator[None]:
    """Start or end a cluster alone.

    Raises:
        ClusterError: another process does so now.
    """
    with (folder / "lock").open("w") as stream:
        try:
            flock(stream, LOCK_EX | LOCK_NB)
        except OSError:
            raise ClusterError(
                f"cluster '{name}' is being started or ended by another command; wait for it"
            ) from None
        yield
