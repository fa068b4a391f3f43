"""A choice of images to look at, the same however the shards were cut."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.parquet import open_parquet
from workloads.records import Record, record_from_row
from workloads.shards.manifest import shard_files

ROWS_PER_BATCH = 4096
_COLUMNS = ("image_id", "labels", "difficult_labels")
_NO_CLASS = -1


class Candidate(NamedTuple):
    """An image that may be chosen, in the order of choice.

    Attributes:
        order: SHA-256 of the image id, as a number: random, but the same for ever.
        label: the first of its classes, which orders the chosen ones.
    """

    order: int
    split: str
    path: Path
    row: int
    label: int


def sample(folder: Path, splits: Iterable[str], count: int) -> list[Record]:
    """Some images of all classes, by class.

    The classes choose in turns, each the image with the smallest SHA-256 of its id; images
    without any label choose as a class of their own. So a rare class is there as soon as a
    frequent one, and neither shards nor the order of a list has a part in it. Of the images'
    bytes only the row groups that hold chosen ones are read, one at a time.

    Args:
        count: how many at most.

    Raises:
        NotFound: no shards there, or no such split.
    """
    chosen = _choose(_first_of_classes(_candidates(folder, splits), count), count)
    records = dict(_read(sorted(chosen, key=lambda candidate: (candidate.path, candidate.row))))
    return [records[c.path, c.row] for c in sorted(chosen, key=lambda c: (c.label, c))]


def _candidates(folder: Path, splits: Iterable[str]) -> Iterator[tuple[Candidate, Sequence[int]]]:
    """Every image with its classes."""
    for split in splits:
        for path in shard_files(folder, split):
            row = 0
            for batch in _batches(path):
                columns = (batch.column(name).to_pylist() for name in _COLUMNS)
                for image_id, easy, hard in zip(*columns, strict=True):
                    labels = sorted({*easy, *hard}) or [_NO_CLASS]
                    order = int.from_bytes(hashlib.sha256(image_id.encode()).digest())
                    yield Candidate(order, split, path, row, labels[0]), labels
                    row += 1


def _first_of_classes(
    candidates: Iterable[tuple[Candidate, Sequence[int]]], count: int
) -> dict[int, list[Candidate]]:
    """The first `count` of each class, in order. More of one class are never chosen."""
    heaps: dict[int, list[tuple[int, Candidate]]] = {}
    for candidate, labels in candidates:
        entry = (-candidate.order, candidate)  # a heap gives up its smallest entry
        for label in labels:
            heap = heaps.setdefault(label, [])
            push = heapq.heappush if len(heap) < count else heapq.heappushpop
            push(heap, entry)
    return {label: sorted(candidate for _, candidate in heap) for label, heap in heaps.items()}


def _choose(by_class: Mapping[int, Sequence[Candidate]], count: int) -> list[Candidate]:
    turns: dict[Candidate, int] = {}
    for candidates in by_class.values():
        for turn, candidate in enumerate(candidates):
            turns[candidate] = min(turn, turns.get(candidate, turn))
    return sorted(turns, key=lambda candidate: (turns[candidate], candidate))[:count]


def _read(candidates: Iterable[Candidate]) -> Iterator[tuple[tuple[Path, int], Record]]:
    """The records of candidates, which are given by path and row."""
    for path, chosen in groupby(candidates, key=lambda candidate: candidate.path):
        with open_parquet(path) as file:
            groups = range(file.num_row_groups)
            ends = np.cumsum([file.metadata.row_group(group).num_rows for group in groups])
            for group, members in groupby(chosen, key=lambda c: _group_of(c.row, ends)):
                table = file.read_row_group(group)
                first = int(ends[group]) - table.num_rows
                for candidate in members:
                    row = table.slice(candidate.row - first, 1).to_pylist()[0]
                    yield (path, candidate.row), record_from_row(row)


def _group_of(row: int, ends: NDArray[np.int64]) -> int:
    return int(np.searchsorted(ends, row, side="right"))


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with open_parquet(path) as file:
        yield from file.iter_batches(batch_size=ROWS_PER_BATCH, columns=list(_COLUMNS))
