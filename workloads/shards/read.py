"""Read the records of shards: a split in order, one row group, or some columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from workloads.parquet import open_parquet, read_columns
from workloads.records import Record, record_from_row
from workloads.shards.manifest import shard_files
from workloads.shards.write import ROWS_PER_GROUP


def read_shards(folder: Path, split: str) -> Iterator[Record]:
    """The records of a split, in order, a row group at a time.

    Raises:
        NotFound: as `shard_files` does.
    """
    return records_of(shard_files(folder, split))


def records_of(files: Iterable[Path]) -> Iterator[Record]:
    """The records of shard files, in order, a row group at a time."""
    for path in files:
        with open_parquet(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                yield from (record_from_row(row) for row in batch.to_pylist())


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of one shard: the unit that workers share out."""

    path: Path
    index: int
    rows: int

    def read(self) -> list[Record]:
        with open_parquet(self.path) as file:
            table = file.read_row_group(self.index)
        return [record_from_row(row) for row in table.to_pylist()]


def row_groups(folder: Path, split: str) -> list[RowGroup]:
    """All row groups of a split, in order.

    Raises:
        NotFound: as `shard_files` does.
    """
    return row_groups_of(shard_files(folder, split))


def row_groups_of(files: Iterable[Path]) -> list[RowGroup]:
    """All row groups of shard files, in order."""
    return [group for path in files for group in _groups_of(path)]


def columns_of(file: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of one shard file, whole; the bytes of other columns are not read."""
    return read_columns(file, names)


def _groups_of(path: Path) -> list[RowGroup]:
    with open_parquet(path) as file:
        rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    return [RowGroup(path, index, count) for index, count in enumerate(rows)]
