"""A folder belongs to one request, written there first, and to one process at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.engine.leases import LEASE, lease
from workloads.artifacts import contents, exists, finite, is_sealed, read_json, write_json
from workloads.errors import Conflict
from workloads.storage.storage import storage_of

REQUEST = ".request.json"  # not part of an artifact's content, so paths in it change no digest
MOST_DIFFERENCES = 5
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb as the owner of a folder.

    Attributes:
        name: as on the command line.
        makes: what it leaves in the folder.
        advice: what its user can do if the folder holds something else.
        places: keys of a request that say where things are. They are kept for people and decide
            nothing: what moved is still the same.
    """

    name: str
    makes: str
    advice: str
    places: tuple[str, ...] = ()


@contextmanager
def claim(
    folder: Path,
    request: Mapping[str, Any],
    verb: Verb,
    may_change: Collection[str] = (),
    *,
    fresh: bool = False,
) -> Iterator[None]:
    """Own a folder for one request for the time of the block.

    Args:
        request: everything that decides what will be in the folder, JSON values.
        may_change: keys of the request that an unfinished folder follows.
        fresh: throw away what an earlier request made.

    Raises:
        Conflict: the folder holds something else, what differs is said; or another process works
            there.
    """
    refuse_foreign(folder, verb)
    with lease(folder, verb.name):
        if fresh:
            _clear(folder)
        agree(folder, request, verb, () if is_sealed(folder) else may_change)
        if not is_sealed(folder):
            write_json(folder / REQUEST, request)
        yield


def is_finished(folder: Path, request: Mapping[str, Any], verb: Verb) -> bool:
    """Whether a folder holds all that was asked for; then nobody needs to own it.

    Raises:
        Conflict: it holds what something else asked for.
    """
    if not is_sealed(folder):
        return False
    refuse_foreign(folder, verb)
    agree(folder, request, verb)
    return True


def refuse_foreign(folder: Path, verb: Verb) -> None:
    """Refuse a folder with content that nobody asked for.

    Raises:
        Conflict: it has files and no request.
    """
    if exists(folder / REQUEST):
        return
    if exists(folder) or is_sealed(folder) or contents(folder):  # a file, or files of another
        raise Conflict(f"{folder}: holds something else than {verb.makes}; {verb.advice}")


def agree(
    folder: Path, request: Mapping[str, Any], verb: Verb, may_change: Collection[str] = ()
) -> None:
    """Compare a request with the one that a folder was made for, if there is one.

    Raises:
        Conflict: they differ, and how.
    """
    if not exists(folder / REQUEST):
        return
    left_out = {*may_change, *verb.places}
    found = differences(
        _without(read_json(folder / REQUEST), left_out), _without(request, left_out)
    )
    if found:
        more = len(found) - MOST_DIFFERENCES
        shown = found[:MOST_DIFFERENCES] + ([f"and {more} more"] if more > 0 else [])
        raise Conflict(
            f"{folder}: holds {verb.makes} of another request ({'; '.join(shown)}); {verb.advice}"
        )


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Differences between two JSON values, a line for each key: `tune.alphas: 26 -> 11`."""
    old, new = (json.loads(json.dumps(finite(value))) for value in (old, new))  # tuples are lists
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in sorted(old.keys() | new.keys())
            for line in differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
        ]
    if old == new and isinstance(old, bool) == isinstance(new, bool):  # in Python False is 0
        return []
    if _is_digest(old) and _is_digest(new):
        return [f"{where}: other content"]
    return [f"{where}: {_shown(old)} -> {_shown(new)}"]


def _clear(folder: Path) -> None:
    """Remove everything but the lease."""
    storage = storage_of(folder)
    for path in storage.files(folder):
        if path != folder / LEASE:
            storage.remove(path)


def _without(request: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in keys}


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
