"""A folder belongs to one request, which is written there first."""

from __future__ import annotations

from pathlib import Path

from orchestrator.engine.units import Row
from workloads.artifacts import is_sealed, read_json, write_json
from workloads.errors import Conflict

REQUEST = ".request.json"  # not part of the content, so its paths do not change the digest


def claim(out: Path, request: Row, what: str) -> bool:
    """Own a folder for one request, written there first; whether the work is finished.

    Raises:
        Conflict: the folder holds something else.
    """
    file = out / REQUEST
    # A leading dot marks what a killed writer left behind.
    foreign = out.exists() and any(not path.name.startswith(".") for path in out.iterdir())
    if foreign and not file.exists():
        raise Conflict(f"{out}: holds something else than {what}; choose another --out")
    if file.exists() and read_json(file) != request:
        raise Conflict(
            f"{out}: holds {what} made from something else or with other settings; "
            "choose another --out or remove the folder"
        )
    if is_sealed(out):
        return True
    write_json(file, request)
    return False
