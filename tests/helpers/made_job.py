"""A job in a folder, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.jobs.record import Job, Jobs, Request


def request(name: str = "night", **changes: Any) -> Request:
    """A request of `wsol list clusters`, which is quick."""
    values: dict[str, Any] = {
        "name": name,
        "words": ("list", "clusters", "-o", "json"),
        "resumes": False,
        "cluster": "local",
        "cwd": "/",
        "retries": 0,
        "version": "1",
    }
    return Request(**{**values, **changes})


def make_job(folder: Path, name: str = "night", **changes: Any) -> Job:
    """A job that was submitted and not yet taken."""
    return Jobs(folder).create(request(name, **changes), {"workspace": str(folder)})
