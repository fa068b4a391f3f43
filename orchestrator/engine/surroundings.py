"""Needs of Ray on a machine: a short folder for its sockets, a place for its token.

Looked at before Ray is imported, by those who start it and by `wsol doctor`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from workloads.errors import ConfigError

_LONGEST_SOCKET = 107  # bytes of a Unix socket's path, the kernel's limit
_SESSION = "session_2026-01-31_23-59-59_123456_"  # and the number of the process
_SOCKET = "sockets/plasma_store"
_DIGITS = 7  # of the largest process number that Linux gives


def temporary_folder(environment: Mapping[str, str] = os.environ) -> str:
    """The folder of Ray's sessions, which are in `ray` below it."""
    return environment.get("RAY_TMPDIR", environment.get("TMPDIR", "/tmp"))  # noqa: S108 - Ray's


def check_temporary_folder(
    environment: Mapping[str, str] = os.environ, process: int | None = None
) -> None:
    """Refuse a folder whose sockets would have names that are too long.

    Args:
        process: number of the process that starts Ray; None for any.

    Raises:
        ConfigError: it is too long, or not a folder that can be written.
    """
    folder = temporary_folder(environment)
    name = "RAY_TMPDIR" if "RAY_TMPDIR" in environment else "TMPDIR"
    number = str(process) if process is not None else "9" * _DIGITS
    path = os.path.join(folder, "ray", _SESSION + number, _SOCKET)  # noqa: PTH118 - as Ray does
    over = len(os.fsencode(path)) - _LONGEST_SOCKET
    if over > 0:
        most = len(os.fsencode(folder)) - over
        raise ConfigError(
            f"{name} is {folder}, too long for Ray's sockets (at most {most} bytes); "
            "set RAY_TMPDIR to a short folder, as /tmp"
        )
    there = next(p for p in (Path(folder), *Path(folder).absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{name}: {folder} is not a folder that this user may write; set RAY_TMPDIR to one"
        )


def token_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file of Ray's token; None if there is no place for one that stays."""
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    if named:
        return Path(named)
    try:
        path = Path.home() / ".ray" / "auth_token"
    except RuntimeError:  # no HOME, and a user without an entry
        return None
    there = next(p for p in (path, *path.parents) if p.exists())
    return path if there == path or os.access(there, os.W_OK | os.X_OK) else None
