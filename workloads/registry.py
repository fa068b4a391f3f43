"""A registry maps names to things of one kind; adding one is one line in its package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from workloads.errors import ConfigError, unknown_name

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Names of one kind of thing. An unknown name is a ConfigError with the nearest match."""

    def __init__(self, kind: str, entries: Mapping[str, T]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise ConfigError(unknown_name(self.kind, name, self._entries))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
