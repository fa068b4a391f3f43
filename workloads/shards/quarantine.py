"""Quarantine list of a shard folder, and its reasons by kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from workloads.artifacts import QUARANTINE, write_text
from workloads.errors import IntegrityError
from workloads.storage.storage import storage_of

EXAMPLES = 3
_QUOTED = re.compile(r"""b?'[^']*'|b?"[^"]*\"""")
_PATH = re.compile(r"[^\s:;,'\"<>]*/[^\s:;,'\"<>]*")
_NUMBER = re.compile(r"-?\d[\d.]*(?:e[+-]?\d+)?")
_ADVICE = re.compile(r"; .*| \(allowed: .*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reason:
    """One kind of reason.

    Attributes:
        kind: the reason without what differs between images, and without the advice.
        count: images that are left out for it.
        examples: the first of them, by image id.
    """

    kind: str
    count: int
    examples: tuple[Quarantined, ...]


def quarantined(folder: Path) -> Iterator[Quarantined]:
    """Entries of a shard folder's quarantine, by split and image id, one at a time.

    Raises:
        IntegrityError: the list is missing or damaged.
    """
    path = folder / QUARANTINE
    try:
        with storage_of(path).open(path) as lines:
            for line in lines:
                yield Quarantined(**json.loads(line))
    except (FileNotFoundError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{path}: missing or damaged ({reason}); ingest again") from None


def reasons(folder: Path, split: str) -> tuple[Reason, ...]:
    """The reasons of one split, the most frequent first.

    Raises:
        IntegrityError: as `quarantined` does.
    """
    return by_kind(entry for entry in quarantined(folder) if entry.split == split)


def by_kind(entries: Iterable[Quarantined]) -> tuple[Reason, ...]:
    """The reasons of entries, the most frequent first."""
    counts: dict[str, int] = {}
    examples: dict[str, list[Quarantined]] = {}
    for entry in entries:
        kind = kind_of(entry)
        counts[kind] = counts.get(kind, 0) + 1
        known = examples.setdefault(kind, [])
        if len(known) < EXAMPLES:
            known.append(entry)
    ordered = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return tuple(Reason(kind, counts[kind], tuple(examples[kind])) for kind in ordered)


def kind_of(entry: Quarantined) -> str:
    """The reason with an ellipsis for names, paths and numbers; what comes after is advice."""
    text = entry.reason
    for own in (entry.path, entry.image_id):
        if own:
            text = re.sub(rf"(?<!\w){re.escape(own)}(?!\w)", "…", text)
    for varying in (_QUOTED, _PATH, _NUMBER):
        text = varying.sub("…", text)
    # What stands in front is the file that the reason was found in.
    return " ".join(_ADVICE.sub("", text).split()).removeprefix("…: ") or "no reason given"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One listed image that is not in the shards, and why."""

    image_id: str
    path: str  # relative to the data set's root
    split: str
    reason: str


def write_quarantine(path: Path, entries: Iterable[Quarantined]) -> None:
    """Write the list, by split and image id."""
    ordered = sorted(entries, key=lambda entry: (entry.split, entry.image_id, entry.reason))
    lines = (json.dumps(asdict(entry)) for entry in ordered)  # ASCII: paths may not be UTF-8
    write_text(path, "".join(f"{line}\n" for line in lines))
