"""The listing of an annotation: its files in their fixed order, of which memory holds a part.

listing/part-00000.parquet    100,000 files each, in order
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from workloads.errors import IntegrityError
from workloads.parquet import read_columns, write_parquet

PART_FILES = 100_000
SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("refused", pa.string()),
        pa.field("read_as", pa.string()),
        pa.field("gone", pa.bool_(), nullable=False),
        pa.field("place", pa.string()),
        pa.field("offset", pa.int64(), nullable=False),
    ]
)


class ListedFile(NamedTuple):
    """One file of a folder.

    Attributes:
        name: POSIX path relative to the folder. Bytes that are not UTF-8 are written as `\\xff`;
            such a file is refused, so the name is never opened.
        num_bytes, mtime_ns: size and time of change, to see later whether the file changed.
        refused: why the file is not even opened; None if it is.
        read_as: its name when it was annotated, if another.
        gone: it was there once, and is not any more.
        place, offset: the file that holds it, relative to the same folder, and where in it, for
            kinds of collections that have several images in a file.
    """

    name: str
    num_bytes: int
    mtime_ns: int
    refused: str | None = None
    read_as: str | None = None
    gone: bool = False
    place: str | None = None
    offset: int = 0

    @property
    def in_part(self) -> str:
        """The name under which its part has it."""
        return self.read_as or self.name


class Written(NamedTuple):
    """A listing that was written: how many files, and the SHA-256 of their facts."""

    files: int
    digest: str


def write_listing(folder: Path, files: Iterable[ListedFile]) -> Written:
    """Write files as they come; memory holds one part of them."""
    left, total, known = iter(files), 0, hashlib.sha256()
    while some := list(islice(left, PART_FILES)):
        table = pa.table(list(map(list, zip(*some, strict=True))), schema=SCHEMA)
        write_parquet(_part(folder, total // PART_FILES), table)
        total += len(some)
        known.update(json.dumps([file[:4] for file in some]).encode())
    return Written(total, known.hexdigest())


@dataclass(frozen=True)
class Listing:
    """The files of an annotation, cut in chunks of at most the same size.

    Attributes:
        folder: where `write_listing` wrote them.
        batches: files of the first listing and of each later addition; each begins a chunk.
    """

    folder: Path
    chunk_images: int
    batches: tuple[int, ...]

    @property
    def total(self) -> int:
        """Number of files."""
        return sum(self.batches)

    @property
    def chunks(self) -> range:
        """Indices of the chunks."""
        return range(sum(map(self._chunks_of, self.batches)))

    def chunk(self, index: int) -> list[ListedFile]:
        """The files of one chunk.

        Raises:
            IntegrityError: a part of the listing is missing or damaged.
        """
        first, end = self._bounds(index)
        return list(islice(self.files(first), end - first))

    def chunk_of(self, image_id: int) -> int:
        """Index of the chunk that a file is in."""
        chunk, start = 0, 0
        for count in self.batches:
            if image_id <= start + count:
                return chunk + (image_id - 1 - start) // self.chunk_images
            chunk, start = chunk + self._chunks_of(count), start + count
        raise IndexError(f"image {image_id} is behind the last")

    def first_id(self, index: int) -> int:
        """Image id of a chunk's first file; ids are positions in the listing, from 1."""
        return self._bounds(index)[0] + 1

    def size(self, index: int) -> int:
        """Files of one chunk."""
        first, end = self._bounds(index)
        return end - first

    def files(self, first: int = 0) -> Iterator[ListedFile]:
        """All files from a position on.

        Raises:
            IntegrityError: a part of the listing is missing or damaged.
        """
        while first < self.total:
            part, row = divmod(first, PART_FILES)
            rows = _rows(_part(self.folder, part))
            yield from rows[row:]
            first += len(rows) - row

    def _chunks_of(self, count: int) -> int:
        return -(-count // self.chunk_images)

    def _bounds(self, index: int) -> tuple[int, int]:
        """First file of a chunk, and the one behind its last."""
        start = 0
        for count in self.batches:
            if index < self._chunks_of(count):
                first = index * self.chunk_images
                return start + first, start + min(first + self.chunk_images, count)
            index -= self._chunks_of(count)
            start += count
        raise IndexError(f"chunk {index} is behind the last")


def _part(folder: Path, index: int) -> Path:
    return folder / f"part-{index:05d}.parquet"


@lru_cache(maxsize=2)  # chunks are taken in order, and one may lie in two parts
def _rows(path: Path) -> list[ListedFile]:
    try:
        columns = read_columns(path).cast(SCHEMA).to_pydict().values()
    except (FileNotFoundError, ValueError, pa.ArrowException) as error:
        problem = " ".join(str(error).split())
        raise IntegrityError(
            f"{path}: not a part of a listing ({problem}); restore it, or remove the annotation "
            "and start over"
        ) from None
    return [ListedFile(*values) for values in zip(*columns, strict=True)]
