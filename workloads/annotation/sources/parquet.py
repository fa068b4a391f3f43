"""Images in Parquet: their bytes, or their paths, in a column of one or many files."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from workloads.annotation.listing import ListedFile
from workloads.annotation.sources.base import Source
from workloads.annotation.sources.several import several_files
from workloads.errors import ConfigError, InputRejected
from workloads.files import is_folder, listing
from workloads.images.decode import ImageLimits, check_bytes
from workloads.parquet import open_parquet
from workloads.storage.addresses import is_address
from workloads.storage.storage import storage_of

_LOOKED_AT = 100  # entries of a folder, to see what it holds
BYTES = ("image", "bytes", "data", "jpg", "jpeg", "png", "content", "image.bytes")
PATHS = ("path", "file_name", "filename", "file", "image", "image.path")
NAMES = ("image_id", "file_name", "path", "image.path", "id", "key", "__key__")


class _Columns(NamedTuple):
    """Columns that are read, by their names with dots for what is inside of others.

    Attributes:
        image: with bytes, or with paths.
        name: that name images; None: they are named by file and row.
    """

    image: str
    are_bytes: bool
    name: str | None


class ParquetFiles(Source):
    """Rows of Parquet files, one image each: what `wsol ingest`, Hugging Face or Spark wrote.

    The first binary column with a usual name holds the bytes, or the first text column with one
    the paths, relative to the folder of the files.
    """

    kind = "parquet"
    summary = "Parquet with bytes or paths: a file, x-*.parquet, x-{00..15}.parquet, a folder"

    @classmethod
    def takes(cls, path: Path) -> bool:
        if path.name.endswith(".parquet"):
            return True
        if is_address(path) or not is_folder(path):  # a bucket has no quick look into a folder
            return False
        with os.scandir(path) as entries:
            return any(one.name.endswith(".parquet") for one in islice(entries, _LOOKED_AT))

    @property
    def root(self) -> Path:
        return self.path.parent if self.path.name.endswith(".parquet") else self.path

    def files(self) -> Iterator[ListedFile]:
        if self.path.name.endswith(".parquet"):
            tables = list(several_files(self.path, "Parquet file"))
        else:
            found = listing(self.path, deep=False)
            tables = [one.path for one in found if one.path.suffix == ".parquet"]
        return (file for table in tables for file in self._rows(table))

    def _rows(self, table: Path) -> Iterator[ListedFile]:
        changed, row = storage_of(table).changed_ns(table), 0
        try:
            with open_parquet(table) as file:
                columns = _columns(file.schema_arrow, table)
                names = [columns.image] if not columns.are_bytes else []
                names += [columns.name] if columns.name else []
                for group in range(file.metadata.num_row_groups):
                    count = file.metadata.row_group(group).num_rows
                    read = file.read_row_group(group, columns=names) if names else None
                    for index in range(count):
                        yield self._file(table, columns, read, index, row, changed)
                        row += 1
        except (pa.ArrowException, OSError) as error:
            if not _is_damage(error):
                raise
            reason = f"damaged behind its first {row} rows ({_said(error)}); get it again"
            yield ListedFile(table.name, 0, changed, reason, place=table.name)

    def _file(
        self,
        table: Path,
        columns: _Columns,
        read: pa.Table | None,
        index: int,
        row: int,
        changed: int,
    ) -> ListedFile:
        name = None if columns.name is None or read is None else _value(read, columns.name, index)
        shown = f"{table.name}#{row}" if name is None else str(name)
        return ListedFile(shown, 0, changed, place=table.name, offset=row)

    def read(self, file: ListedFile, limits: ImageLimits) -> bytes:
        table = self.root / (file.place or "")
        try:
            value, are_bytes = _cell(table, file.offset)
        except (pa.ArrowException, OSError, IndexError) as error:
            if not _is_damage(error):
                raise
            raise InputRejected(
                f"its row cannot be read ({_said(error)}); get {table.name} again"
            ) from None
        if value is None:
            raise InputRejected("its row holds no image")
        if not are_bytes:
            return super().read(file._replace(name=str(value), place=None), limits)
        data = bytes(value)
        check_bytes(len(data), limits)
        return data


def _is_damage(error: Exception) -> bool:
    """Whether it is about what the file holds: of that Arrow makes errors without a number."""
    return not isinstance(error, OSError) or error.errno in (None, errno.ENOENT)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _columns(schema: pa.Schema, table: Path) -> _Columns:
    """The columns that hold images and their names.

    Raises:
        ConfigError: none does.
    """
    kinds = dict(_leaves(schema))
    name = next((n for n in NAMES if n in kinds and _is_text(kinds[n])), None)
    for column in BYTES:
        if column in kinds and _is_binary(kinds[column]):
            return _Columns(column, True, name)
    for column in PATHS:
        if column in kinds and _is_text(kinds[column]):
            return _Columns(column, False, name)
    raise ConfigError(
        f"{table}: no column with images (columns: {', '.join(kinds)}); call the one with bytes "
        f"{BYTES[0]}, or the one with paths {PATHS[0]}"
    )


def _leaves(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    for field in schema:
        if pa.types.is_struct(field.type):
            for inner in field.type:
                yield f"{field.name}.{inner.name}", inner.type
        else:
            yield field.name, field.type


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _value(table: pa.Table, column: str, index: int) -> Any:
    outer, _, inner = column.partition(".")
    value = table[outer][index].as_py()
    return value.get(inner) if inner and value is not None else value


def _cell(table: Path, row: int) -> tuple[Any, bool]:
    """The value of the image's column, and whether it is bytes."""
    for first, group in _groups(table):
        if row < first + group.rows:
            read, columns = _row_group(table, group.number)
            return _value(read, columns.image, row - first), columns.are_bytes
    raise IndexError(f"row {row} is behind the last")


class _Group(NamedTuple):
    number: int
    rows: int


@lru_cache(maxsize=64)
def _groups(table: Path) -> list[tuple[int, _Group]]:
    """First row and size of each row group."""
    found, first = [], 0
    with open_parquet(table) as file:
        for index in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(index).num_rows
            found.append((first, _Group(index, rows)))
            first += rows
    return found


@lru_cache(maxsize=1)  # files are read in order; a row group may be large
def _row_group(table: Path, index: int) -> tuple[pa.Table, _Columns]:
    with open_parquet(table) as file:
        columns = _columns(file.schema_arrow, table)
        return file.read_row_group(index, columns=[columns.image]), columns
