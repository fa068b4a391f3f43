"""A collection that changed since it was listed: what is new is added, the same is recognised.

Files are compared in a database on disk, so memory grows with what changed and not with the files.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workloads.annotation.listing import ListedFile, Listing, Written, write_listing
from workloads.annotation.sources.base import Source

ContentOf = Callable[[int], str | None]
"""Image id to the SHA-256 of what was read; None of a file that was not."""

_FILE = ", ".join(ListedFile._fields)
_SET_FILE = ", ".join(f"{name} = ?" for name in ListedFile._fields)
# Position in the listing; new files have positions behind the listed ones.
_MAKE = f"""
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE files (position INTEGER PRIMARY KEY, {_FILE}, seen);
"""
_ADD = f"INSERT INTO files VALUES (?, {', '.join('?' * len(ListedFile._fields))}, ?)"  # noqa: S608
_NAMED = f"SELECT position, {_FILE} FROM files WHERE name = ? AND position < ? AND NOT seen"  # noqa: S608
_SEE = f"UPDATE files SET {_SET_FILE}, seen = 1 WHERE position = ?"  # noqa: S608
_UNSEEN = f"SELECT position, {_FILE} FROM files WHERE position < ? AND NOT seen AND NOT gone"  # noqa: S608
_ADDED = f"SELECT position, {_FILE} FROM files WHERE position >= ? AND refused IS NULL"  # noqa: S608
_OLD = f"SELECT {_FILE} FROM files WHERE position < ? ORDER BY position"  # noqa: S608
_NEW = f"SELECT {_FILE} FROM files WHERE position >= ? ORDER BY name"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Changes:
    """A folder against its listing.

    Attributes:
        new: files that were not there before.
        gone: listed files that are not there any more, or hold something else now.
        back: files that were gone and are there again.
        other: files with another name, folder or time, and the same content.
    """

    new: int = 0
    gone: int = 0
    back: int = 0
    other: int = 0

    def __bool__(self) -> bool:
        return self != Changes()


@contextmanager
def compared(old: Listing, source: Source, content_of: ContentOf) -> Iterator[Comparison]:
    """The listed files beside those of a source, for the time of a block.

    A file is the same if size and time of change are, else if its content is that which was read;
    one that is gone may have another name now, or be in another folder of them.
    """
    with tempfile.TemporaryDirectory(prefix="wsol-changes-") as place:
        database = sqlite3.connect(Path(place) / "files.db")
        try:
            yield Comparison(database, old, source, content_of)
        finally:
            database.close()


class Comparison:
    """Listed files and those of a source, compared.

    Attributes:
        changes: how many of each kind.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        old: Listing,
        source: Source,
        content_of: ContentOf,
    ) -> None:
        self._database = database
        self._listed = old.total
        self._content_of = content_of
        self._source = source
        self.changes = Changes()
        database.executescript(_MAKE)
        database.executemany(_ADD, ((i, *file, 0) for i, file in enumerate(old.files())))
        database.execute("CREATE INDEX names ON files (name)")
        self._match_names(source.files())
        self._match_contents()
        gone = "UPDATE files SET gone = 1 WHERE position < ? AND NOT seen AND NOT gone"
        self._count(gone=database.execute(gone, (self._listed,)).rowcount)

    def write(self, folder: Path) -> Written:
        """Write the new listing: old files in their order, behind them new ones by name."""
        return write_listing(folder, self.files())

    def files(self) -> Iterator[ListedFile]:
        """The files of the new listing."""
        for query in (_OLD, _NEW):
            yield from map(_file, self._database.execute(query, (self._listed,)))

    def _match_names(self, found: Iterable[ListedFile]) -> None:
        for file in found:
            named = self._database.execute(_NAMED, (file.name, self._listed)).fetchall()
            for position, *values in named:
                old = _file(values)
                if self._is_same(old, file, position):
                    self._see(position, old, file)
                    break
            else:
                place = self._listed + self.changes.new
                self._database.execute(_ADD, (place, *file, 0))
                self._count(new=1)

    def _match_contents(self) -> None:
        """Recognise files whose content was read under a name that is gone."""
        lost = self._query(_UNSEEN)
        known = {place: content for place, _ in lost if (content := self._content_of(place + 1))}
        if not known:
            return
        sizes = {file.num_bytes for _, file in lost}
        here = defaultdict(list)
        for place, file in self._query(_ADDED):
            if file.num_bytes in sizes:
                here[self._source.content(file)].append((place, file))
        for position, old in lost:
            if same := here.get(known.get(position)):
                alike = [pair for pair in same if _last(pair[1].name) == _last(old.name)]
                chosen = min(alike or same, key=lambda pair: pair[1].name)
                same.remove(chosen)
                self._database.execute("DELETE FROM files WHERE position = ?", (chosen[0],))
                self._see(position, old, chosen[1]._replace(read_as=old.in_part))
                self._count(new=-1)

    def _see(self, position: int, old: ListedFile, now: ListedFile) -> None:
        seen = now._replace(read_as=now.read_as or old.read_as)
        self._database.execute(_SEE, (*seen, position))
        same = seen._replace(gone=old.gone) == old
        self._count(back=int(old.gone), other=int(not same and not old.gone))

    def _query(self, query: str) -> list[tuple[int, ListedFile]]:
        rows = self._database.execute(query, (self._listed,))
        return [(position, _file(values)) for position, *values in rows]

    def _count(self, **more: int) -> None:
        now = {name: getattr(self.changes, name) + count for name, count in more.items()}
        self.changes = replace(self.changes, **now)

    def _is_same(self, old: ListedFile, now: ListedFile, position: int) -> bool:
        if (now.num_bytes, now.refused) != (old.num_bytes, old.refused):
            return False
        if now.mtime_ns == old.mtime_ns or now.refused is not None:
            return True
        content = self._content_of(position + 1)
        return content is not None and self._source.content(now) == content


def _file(values: Sequence[Any]) -> ListedFile:
    file = ListedFile(*values)
    return file._replace(gone=bool(file.gone))


def _last(name: str) -> str:
    return name.rpartition("/")[2]
