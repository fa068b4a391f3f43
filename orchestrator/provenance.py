"""Provenance of a result: what decides it (stable), and when and where it was made."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import JsonValue

PACKAGES = ("torch", "torchvision", "ray", "mlflow")
TRAVELLED = "travelled.json"
"""A file beside the packages when they are sent to a cluster: the checkout that they are from."""

_GIT_TIMEOUT_S = 5.0
_ROOT = Path(__file__).resolve().parent.parent
_PROJECT_FILE = _ROOT / "pyproject.toml"  # says the same of a tree that was never installed


def provenance() -> dict[str, JsonValue]:
    """All of it: `stable_provenance` and `run_provenance`."""
    return {**stable_provenance(), **run_provenance()}


def stable_provenance() -> dict[str, JsonValue]:
    """Facts that are equal whenever the same code runs again: part of a model's digest.

    Keys: git_commit (40 hex digits, or None outside a checkout), git_dirty (uncommitted changes
    of tracked files, or None), python, packages (name to version, None if not installed).
    """
    commit, dirty = travelled_state(_ROOT) or git_state(_ROOT)
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "packages": {"wsol": version(), **{name: _version(name) for name in PACKAGES}},
    }


def run_provenance() -> dict[str, JsonValue]:
    """Facts that differ from run to run: kept beside a model, never in its digest.

    Keys: time (UTC, ISO-8601, seconds), host, platform, cpus (those this process may use),
    gpu (name of the first one, or None).
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)),
        "gpu": _gpu(),
    }


def travelled_state(root: Path) -> tuple[str | None, bool | None] | None:
    """Commit and dirty flag of the checkout that code was sent from; None if it was not sent."""
    try:
        found = json.loads((root / TRAVELLED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found["git_commit"], found["git_dirty"]


@cache
def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the checkout whose root is `folder`, else (None, None)."""
    # an installed copy may lie inside a checkout of something else, whose commit says nothing
    if not (folder / ".git").exists():
        return None, None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit or None, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # a look must not write to the index
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    import torch  # slow to import, and most callers ask for something else

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def version() -> str:
    """The version of the project."""
    try:
        return metadata.version("wsol")
    except metadata.PackageNotFoundError:
        return str(_project()["version"])


def requirements() -> list[str]:
    """Direct requirements, as pip writes them, extras with their marker."""
    try:
        return metadata.requires("wsol") or []
    except metadata.PackageNotFoundError:
        return list(_project()["dependencies"])


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(_PROJECT_FILE.read_text(encoding="utf-8"))["project"]
    return project
