"""Read the records of shards: a split in order, or one row group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from workloads.records import Record, record_from_row
from workloads.shards.manifest import shard_files
from workloads.shards.write import ROWS_PER_GROUP


def read_shards(folder: Path, split: str) -> Iterator[Record]:
    """The records of a split, in order, a row group at a time.

    Raises:
        NotFound: as `shard_files` does.
    """
    for path in shard_files(folder, split):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                yield from (record_from_row(row) for row in batch.to_pylist())


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of one shard: the unit that workers share out."""

    path: Path
    index: int
    rows: int

    def read(self) -> list[Record]:
        table = pq.ParquetFile(self.path).read_row_group(self.index)
        return [record_from_row(row) for row in table.to_pylist()]


def row_groups(folder: Path, split: str) -> list[RowGroup]:
    """All row groups of a split, in order."""
    groups = []
    for path in shard_files(folder, split):
        metadata = pq.ParquetFile(path).metadata
        groups += [
            RowGroup(path, i, metadata.row_group(i).num_rows)
            for i in range(metadata.num_row_groups)
        ]
    return groups
