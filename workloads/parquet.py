"""Parquet files of artifacts; the modules that own a schema read and write through these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.parquet import ParquetWriter as ParquetWriter

from workloads.storage.storage import storage_of


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file to read row groups, batches or metadata from.

    Raises:
        FileNotFoundError: there is none.
        pyarrow.ArrowException: it is not Parquet.
    """
    with storage_of(path).open_random(path) as source, pq.ParquetFile(source) as file:
        yield file


def read_columns(path: Path, names: Sequence[str] | None = None) -> pa.Table:
    """Some columns of a whole file, or all of them."""
    with open_parquet(path) as file:
        return file.read(columns=names)


def count_rows(path: Path) -> int:
    """The number of rows, from the metadata alone."""
    with open_parquet(path) as file:
        return int(file.metadata.num_rows)


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """A file to write in row groups, published whole or not at all."""
    with (
        storage_of(path).publish_file(path) as temporary,
        pa.OSFile(bytes(temporary), "wb") as sink,
        pq.ParquetWriter(sink, schema, **options) as writer,
    ):
        yield writer


def write_parquet(path: Path, table: pa.Table, **options: Any) -> None:
    """Write a table as one file, whole or not at all."""
    with parquet_writer(path, table.schema, **options) as writer:
        writer.write_table(table)
