"""What the project says about itself: its version and what it requires.

A source tree that was never installed has no metadata; its pyproject.toml says the same.
"""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

_PROJECT_FILE = Path(__file__).resolve().parent.parent / "pyproject.toml"


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
