"""The arrays of a JSON file as a stream: COCO has 450 MB in one file, of which little is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from workloads.errors import InputRejected
from workloads.files import open_bytes

Entry = dict[str, Any]
Events = Iterator[tuple[str, Any]]

_STRING = rb'"(?:[^"\\]|\\.)*"'
_STRING_OR_CONSTANT = re.compile(_STRING + rb"|-?\b(?:NaN|Infinity)\b", re.DOTALL)
_STRING_OR_WORD = re.compile(_STRING + rb'|"|-?\w+', re.DOTALL)
_LONGEST = 5  # values kept of an array: a box has four, and a fifth shows that it is none
_DEPTH = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}


class NotJson(InputRejected):
    """A file is not JSON, or not all of it."""


def read_arrays(
    path: Path,
    keys: Mapping[str, frozenset[str]],
    outlines: str = "",
    *,
    constants: bool = False,
) -> Iterator[tuple[str, Entry]]:
    """Entries of the top-level arrays of a JSON object, in the file's order, in one pass.

    Args:
        path: the file.
        keys: array to what is kept of its entries: scalars, and of flat arrays the first five
            values. A nested object becomes {}, and so does an entry that is no object.
        outlines: a key of which the box around its points is kept: of [[x, y, x, y, ...], ...]
            [x0, y0, x1, y1], and [] of anything else.
        constants: take NaN, Infinity and -Infinity, which Python writes, as null.

    Yields:
        The array's name and the entry.

    Raises:
        NotJson: not JSON, or truncated. What comes before the fault is yielded first.
        InputRejected: not an object, or without one of the arrays.
    """
    with open_bytes(path) as stream:
        try:
            source = Constants(stream) if constants else stream
            yield from _arrays(ijson.basic_parse(source, use_float=True), keys, outlines)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise NotJson(
                f"not JSON before byte {stream.tell()} ({_reason(error)}); "
                "download or write it again"
            ) from None


class Constants:
    """A JSON stream whose NaN, Infinity and -Infinity are null; what is in strings stays."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes: more or fewer than `size`, none only at the end."""
        while True:
            data = self._stream.read(size)
            text = self._held + data
            cut = _safe_end(text) if data else len(text)
            self._held = text[cut:]
            done = _STRING_OR_CONSTANT.sub(_as_null, text[:cut])
            if done or not data:
                return done


def _safe_end(text: bytes) -> int:
    """The end of a text, or a place before it to cut at: not within a string or a word."""
    for found in _STRING_OR_WORD.finditer(text):
        unfinished = found[0] == b'"' or (found.end() == len(text) and found[0][:1] != b'"')
        if unfinished:
            return found.start()
    return len(text)


def _as_null(found: re.Match[bytes]) -> bytes:
    return found[0] if found[0][:1] == b'"' else b"null"


def _arrays(
    events: Events, keys: Mapping[str, frozenset[str]], outlines: str
) -> Iterator[tuple[str, Entry]]:
    kind, _ = next(events)
    if kind != "start_map":
        raise InputRejected("not a JSON object; it needs " + _listed(keys))
    missing = set(keys)
    for kind, name in events:
        if kind == "end_map":
            continue  # the end of the object; going on finds what must not follow it
        kind, _ = next(events)
        if kind != "start_array" or name not in keys:
            _skip(kind, events)
            continue
        missing.discard(name)
        yield from ((name, entry) for entry in _entries(events, keys[name], outlines))
    if missing:
        raise InputRejected(f"no array {_listed(sorted(missing))}; it needs {_listed(keys)}")


def _entries(events: Events, keys: frozenset[str], outlines: str) -> Iterator[Entry]:
    for kind, _ in events:
        if kind == "end_array":
            return
        if kind == "start_map":
            yield _entry(events, keys, outlines)
        else:
            _skip(kind, events)
            yield {}


def _entry(events: Events, keys: frozenset[str], outlines: str) -> Entry:
    entry: Entry = {}
    for kind, key in events:
        if kind == "end_map":
            break
        kind, value = next(events)
        if key not in keys:
            _skip(kind, events)
        elif kind == "start_array":
            entry[key] = _around(events) if key == outlines else _beginning(events)
        else:
            _skip(kind, events)
            entry[key] = {} if kind == "start_map" else value
    return entry


def _beginning(events: Events) -> list[Any]:
    values: list[Any] = []
    for kind, value in events:
        if kind == "end_array":
            break
        _skip(kind, events)
        if len(values) < _LONGEST:
            values.append(value)
    return values


def _around(events: Events) -> list[float]:
    """The box around outlines, each an array of x and y in turns; [] if they are something else."""
    sides: tuple[list[float], list[float]] = ([], [])
    depth, place = 1, 0
    for kind, value in events:
        depth += _DEPTH.get(kind, 0)
        if depth == 0:
            break
        if kind in _DEPTH:
            place = 0
        elif kind == "number":
            sides[place % 2].append(float(value))
            place += 1
    xs, ys = sides
    return [min(xs), min(ys), max(xs), max(ys)] if xs and ys else []


def _skip(kind: str, events: Events) -> None:
    """Go past the value whose first event was of this kind.

    Most of a file is outlines that nobody here reads; `filter` and `map` drop their numbers
    without a step in Python for each.
    """
    depth = _DEPTH.get(kind, 0)
    if depth == 0:
        return
    for nested in filter(_DEPTH.__contains__, map(itemgetter(0), events)):
        depth += _DEPTH[nested]
        if depth == 0:
            return


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _reason(error: Exception) -> str:
    """The parser's message on one line; it marks the place with an arrow below."""
    given = error.args[0]
    text = given.decode(errors="replace") if isinstance(given, bytes) else str(error)
    return " ".join(text.split("(right here)")[0].split())
