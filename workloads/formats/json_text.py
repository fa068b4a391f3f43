"""JSON of exports: as bytes, and lists that grow item by item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import orjson


def json_bytes(value: Any) -> bytes:
    """A value as compact JSON in UTF-8, keys in their order; the same value, the same bytes."""
    return orjson.dumps(value)


class ListWriter:
    """The inside of a JSON list, without its brackets, written as its items come."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._before = b"\n"

    def add(self, items: Sequence[Any]) -> None:
        """Write some more items, on a line of their own."""
        if items:
            self._out.write(self._before)
            self._out.write(json_bytes(items)[1:-1])
            self._before = b",\n"
