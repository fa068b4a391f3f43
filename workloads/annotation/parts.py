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

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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

PARTS_TOGETHER = 10_000  # in a folder, as file systems are slow with millions
HISTOGRAM_BINS = 20
"""Bins of equal width from 0 to 1 of a histogram of class scores; the last one has those above."""
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
    return folder / f"{index // PARTS_TOGETHER:04d}" / f"part-{index:06d}.parquet"


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
    table = _table(path, PART_SCHEMA if maps else _WITHOUT_MAPS)
    try:
        found = list(candidates_in(table))
    except ValueError as error:
        raise _damaged(path, error) from None
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

    Files that are gone are left out.

    Raises:
        IntegrityError: a part is missing or is not that of its chunk.
    """
    for index in listing.chunks:
        yield read_chunk(folder, listing, index, maps=maps)


def read_chunk(folder: Path, listing: Listing, index: int, *, maps: bool = True) -> ChunkResult:
    """The part of one chunk, as `read_parts` gives it.

    Raises:
        IntegrityError: it is missing or is not that of its chunk.
    """
    path, files = part_path(folder, index), listing.chunk(index)
    result, first = read_part(path, maps=maps), listing.first_id(index)
    found = [(row.image_id, row.file_name) for row in result.rows]
    found += [(entry.image_id, entry.path) for entry in result.quarantined]
    _check_files(path, sorted(found), files, first)
    return _of_now(result, files, first)


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a chunk, read without its boxes; files that are gone are left out.

    Attributes:
        read: number of images that were read.
        boxes: (K,) theirs by class, of the classes that reach a score.
        scores: (HISTOGRAM_BINS,) class scores of all candidates, see `HISTOGRAM_BINS`.
        quarantined: files that were not read.
    """

    read: int
    boxes: NDArray[np.int64]
    scores: NDArray[np.int64]
    quarantined: tuple[QuarantinedFile, ...]


def summaries(
    folder: Path, listing: Listing, classes: int, score_threshold: float
) -> Iterator[Summary]:
    """Counts of all parts in order, each checked against the listing.

    Args:
        classes: how many there are.
        score_threshold: class score from which boxes count.

    Raises:
        IntegrityError: as `read_parts`.
    """
    for index in listing.chunks:
        path, files = part_path(folder, index), listing.chunk(index)
        table, first = _table(path, _SUMMARY_SCHEMA), listing.first_id(index)
        ids, names, reasons = (table[name].to_pylist() for name in _SUMMARY_SCHEMA.names[:3])
        _check_files(path, list(zip(ids, names, strict=True)), files, first)
        here = np.array([not file.gone for file in files])
        bad = np.array([reason is not None for reason in reasons])
        yield Summary(
            read=int((here & ~bad).sum()),
            boxes=np.bincount(_labels_present(table, here, score_threshold), minlength=classes),
            scores=_histogram(table, here),
            quarantined=tuple(
                QuarantinedFile(ids[row], files[row].name, reasons[row])
                for row in np.flatnonzero(here & bad)
            ),
        )


_SUMMARY_SCHEMA = pa.schema(
    [
        PART_SCHEMA.field(name)
        for name in ("image_id", "file_name", "reason", "candidates", "class_scores", "labels")
    ]
)


def _labels_present(
    table: pa.Table, here: NDArray[np.bool_], score_threshold: float
) -> NDArray[np.int32]:
    """Labels of the boxes of some rows, of the classes that reach a score in their row."""
    of_candidate, candidates = _flat(table["candidates"])
    _, scores = _flat(table["class_scores"])
    of_box, labels = _flat(table["labels"])
    classes = 1 + max(candidates.max(initial=0), labels.max(initial=0))
    present = scores >= np.float32(score_threshold)
    known = (of_candidate * classes + candidates)[present]
    shown = np.isin(of_box * classes + labels, known)
    found: NDArray[np.int32] = labels[shown & here[of_box]]
    return found


def _histogram(table: pa.Table, here: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows, scores = _flat(table["class_scores"])
    bins = np.clip(
        scores[here[rows]].astype(np.float64) * HISTOGRAM_BINS, 0, HISTOGRAM_BINS - 1
    ).astype(np.int64)
    return np.bincount(bins, minlength=HISTOGRAM_BINS)


def _flat(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The row of each value of a column of lists, and the values."""
    lists = column.combine_chunks()
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(lists)), lengths), lists.flatten().to_numpy()


def _table(path: Path, schema: pa.Schema) -> pa.Table:
    """Some columns of a part.

    Raises:
        IntegrityError: missing, or not such a part.
    """
    try:
        return read_columns(path, schema.names).cast(schema)
    except (FileNotFoundError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> IntegrityError:
    problem = " ".join(str(error).split())
    return IntegrityError(
        f"{path}: not a readable part ({problem}); remove it and run the same command again"
    )


def _check_files(
    path: Path, found: Sequence[tuple[int, str]], files: Sequence[ListedFile], first_id: int
) -> None:
    if list(found) != list(enumerate((file.in_part for file in files), start=first_id)):
        raise IntegrityError(
            f"{path}: does not hold the files of its chunk; remove it and run the same command "
            "again"
        )


def _of_now(result: ChunkResult, files: Sequence[ListedFile], first_id: int) -> ChunkResult:
    """A chunk with the names that its files have now, without those that are gone."""
    if not any(file.gone or file.read_as for file in files):
        return result

    def file_of(image_id: int) -> ListedFile:
        return files[image_id - first_id]

    rows, bad = result.rows, result.quarantined
    return replace(
        result,
        rows=tuple(
            replace(row, file_name=file_of(row.image_id).name)
            for row in rows
            if not file_of(row.image_id).gone
        ),
        quarantined=tuple(
            replace(entry, path=file_of(entry.image_id).name)
            for entry in bad
            if not file_of(entry.image_id).gone
        ),
    )


def _row(
    image_id: int, file_name: str, reason: str | None, found: dict[str, Any]
) -> dict[str, Any]:
    return {"image_id": image_id, "file_name": file_name, "reason": reason, **found}
