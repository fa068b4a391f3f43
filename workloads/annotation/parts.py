"""Annotate a listed folder chunk by chunk, one Parquet part per chunk.

The set of parts is the ledger of an annotation: a part is written whole or not at all, under a
name that depends on its place in the listing alone, and has one row for each of its chunk's files,
be it read or quarantined. So every file is counted exactly once, however often it was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from workloads.annotation.found import (
    FOUND_FIELDS,
    MAP_COLUMNS,
    NOTHING,
    FoundImage,
    candidates_in,
    found_row,
)
from workloads.annotation.listing import ListedFile, Listing
from workloads.errors import IntegrityError
from workloads.parquet import read_columns, write_parquet

PART_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # why it is quarantined, null if it was read
        *FOUND_FIELDS,
        pa.field("sha256", pa.string()),  # of the file; null if it was not read
    ]
)
_WITHOUT_MAPS = pa.schema([field for field in PART_SCHEMA if field.name not in MAP_COLUMNS])


@dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """One listed file without annotations, and why."""

    image_id: int
    path: str  # relative to the folder of images
    reason: str


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """Result of one chunk, in the order of the listing.

    Attributes:
        rows: images that were read.
        quarantined: files that were not; `len(rows) + len(quarantined)` is the chunk's size.
        contents: image id to the SHA-256 of the file, of those whose bytes were read.
    """

    rows: tuple[FoundImage, ...]
    quarantined: tuple[QuarantinedFile, ...]
    contents: Mapping[int, str] = field(default_factory=dict)


def part_path(folder: Path, index: int) -> Path:
    """The path of one chunk's part, whether it is written yet or not."""
    return folder / f"part-{index:06d}.parquet"


def write_part(path: Path, result: ChunkResult) -> None:
    """Write the part of one chunk whole or not at all."""
    rows = [
        _row(r.image_id, r.file_name, None, found_row(r.candidates, r.orientation))
        for r in result.rows
    ]
    rows += [_row(q.image_id, q.path, q.reason, found_row(NOTHING, 1)) for q in result.quarantined]
    rows = [{**row, "sha256": result.contents.get(row["image_id"])} for row in rows]
    rows.sort(key=lambda row: int(row["image_id"]))
    write_parquet(path, pa.Table.from_pylist(rows, schema=PART_SCHEMA))


def read_part(path: Path, *, maps: bool = True) -> ChunkResult:
    """Inverse of `write_part`.

    Args:
        maps: whether to read the maps, which are most of a part, if it has them.

    Raises:
        IntegrityError: missing, or not such a part.
    """
    schema = PART_SCHEMA if maps else _WITHOUT_MAPS
    try:
        table = read_columns(path, schema.names).cast(schema)
        found = list(candidates_in(table))
    except (FileNotFoundError, ValueError, pa.ArrowException) as error:
        problem = " ".join(str(error).split())
        raise IntegrityError(
            f"{path}: not a readable part ({problem}); remove it and run the same command again"
        ) from None
    rows, quarantined = list[FoundImage](), list[QuarantinedFile]()
    columns = ("image_id", "file_name", "orientation", "reason", "sha256")
    ids, names, orientations, reasons, hashes = (table[name].to_pylist() for name in columns)
    for i, reason in enumerate(reasons):
        if reason is None:
            rows.append(FoundImage(ids[i], names[i], orientations[i], found[i]))
        else:
            quarantined.append(QuarantinedFile(ids[i], names[i], reason))
    contents = {i: sha256 for i, sha256 in zip(ids, hashes, strict=True) if sha256 is not None}
    return ChunkResult(tuple(rows), tuple(quarantined), contents)


def read_parts(folder: Path, listing: Listing, *, maps: bool = True) -> Iterator[ChunkResult]:
    """All parts in order, each checked against the listing, with the names that files have now.

    Raises:
        IntegrityError: a part is missing or is not that of its chunk.
    """
    for index in listing.chunks:
        result = read_part(part_path(folder, index), maps=maps)
        found = [(row.image_id, row.file_name) for row in result.rows]
        found += [(entry.image_id, entry.path) for entry in result.quarantined]
        files = listing.chunk(index)
        names = [file.in_part for file in files]
        if sorted(found) != list(enumerate(names, start=listing.first_id(index))):
            raise IntegrityError(
                f"{part_path(folder, index)}: does not hold the files of chunk {index}; "
                "remove it and run the same command again"
            )
        yield _renamed(result, files, listing.first_id(index))


def _renamed(result: ChunkResult, files: Sequence[ListedFile], first_id: int) -> ChunkResult:
    """A chunk with the names that its files have now."""
    return replace(
        result,
        rows=tuple(replace(r, file_name=files[r.image_id - first_id].name) for r in result.rows),
        quarantined=tuple(
            replace(q, path=files[q.image_id - first_id].name) for q in result.quarantined
        ),
    )


def _row(
    image_id: int, file_name: str, reason: str | None, found: dict[str, Any]
) -> dict[str, Any]:
    return {"image_id": image_id, "file_name": file_name, "reason": reason, **found}
