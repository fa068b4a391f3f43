"""The arrays of a JSON file as a stream: COCO has 450 MB in one file, of which little is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import ijson

from workloads.errors import InputRejected

Entry = dict[str, Any]
Events = Iterator[tuple[str, Any]]

_LONGEST = 5  # values kept of an array: a box has four, and a fifth shows that it is none
_DEPTH = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}


def read_arrays(path: Path, keys: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, Entry]]:
    """Entries of the top-level arrays of a JSON object, in the file's order, in one pass.

    Args:
        path: the file.
        keys: array to what is kept of its entries: scalars, and of flat arrays the first five
            values. A nested object becomes {}, and so does an entry that is no object.

    Yields:
        The array's name and the entry.

    Raises:
        InputRejected: not JSON, truncated, not an object, or without one of the arrays. What
            comes before the fault is yielded first.
    """
    with path.open("rb") as stream:
        try:
            yield from _arrays(ijson.basic_parse(stream, use_float=True), keys)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise InputRejected(
                f"not JSON before byte {stream.tell()} ({_reason(error)}); "
                "download or write it again"
            ) from None


def _arrays(events: Events, keys: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, Entry]]:
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
        yield from ((name, entry) for entry in _entries(events, keys[name]))
    if missing:
        raise InputRejected(f"no array {_listed(sorted(missing))}; it needs {_listed(keys)}")


def _entries(events: Events, keys: frozenset[str]) -> Iterator[Entry]:
    for kind, _ in events:
        if kind == "end_array":
            return
        if kind == "start_map":
            yield _entry(events, keys)
        else:
            _skip(kind, events)
            yield {}


def _entry(events: Events, keys: frozenset[str]) -> Entry:
    entry: Entry = {}
    for kind, key in events:
        if kind == "end_map":
            break
        kind, value = next(events)
        if key not in keys:
            _skip(kind, events)
        elif kind == "start_array":
            entry[key] = _beginning(events)
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
