"""Several files of a kind by one path: a file, numbers in braces, or a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from workloads.errors import NotFound
from workloads.files import is_file, matching

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


def several_files(path: Path, noun: str) -> Iterator[Path]:
    """The files that a path names, in order: `x-{000..063}.tar` are sixty-four, `x-*.tar` all.

    Raises:
        NotFound: one of them is not there, or none is.
    """
    if any(letter in path.name for letter in "*?["):
        found = sorted(matching(path.parent, path.name))
        if not found:
            raise NotFound(f"{path}: no such {noun}; see that the pattern is right")
        return iter(found)
    found = list(_expanded(path))
    for one in found:
        if not is_file(one):
            raise NotFound(f"{one}: no such {noun}; see that its name is right")
    return iter(found)


def _expanded(path: Path) -> Iterator[Path]:
    braces = _BRACES.search(path.name)
    if braces is None:
        yield path
        return
    first, last = braces.groups()
    for number in range(int(first), int(last) + 1):
        name = path.name[: braces.start()] + f"{number:0{len(first)}d}" + path.name[braces.end() :]
        yield from _expanded(path.with_name(name))
