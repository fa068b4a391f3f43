"""Rows of a table file: CSV, JSON lines or Parquet, without the bytes of images."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute

from workloads.errors import InputRejected
from workloads.files import changed_ns, open_text
from workloads.files import size as size_of
from workloads.parquet import open_parquet

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_DELIMITERS = ",;\t"
_LONGEST_CELL = 2**24


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        number: from 0, of those in the file.
        values: column to value: text in CSV, else as typed. Of a column of image bytes: its path
            or None.
        fault: why the row cannot be read.
    """

    number: int
    values: dict[str, Any]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of a table.

    Attributes:
        columns: by name, in the file's order.
        rows: all of them.
        bytes_in: column to where in the file its image bytes are; only such columns.
        class_names: column to the names of its numbers, where the file has them (as Hugging
            Face's do).
        row_bytes: mean size of a row in the file.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Row]
    bytes_in: dict[str, str] = field(default_factory=dict)
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    row_bytes: int = 0


def read_table_file(path: Path) -> TableFile:
    """Read one file.

    Raises:
        InputRejected: it is not what its ending says. Names the file and what to do.
    """
    try:
        match path.suffix.lower():
            case ".parquet":
                return _read_parquet(path)
            case ".jsonl" | ".ndjson":
                return _read_json_lines(path)
            case _:
                return _read_csv(path)
    except UnicodeDecodeError:
        raise InputRejected(f"{path}: not UTF-8; save it in that encoding") from None
    except (pa.ArrowInvalid, csv.Error) as error:
        raise InputRejected(f"{path}: cannot be read ({error}); write it again") from None


def image_bytes(path: Path, row: int, leaf: str) -> bytes | None:
    """The image bytes in one row of a Parquet file; None if there are none.

    Rows are asked for in order, so the last row group is kept.

    Raises:
        OSError: the file is gone or cannot be read.
    """
    changed = changed_ns(path)
    starts = _group_starts(path, changed)
    group = max(n for n, start in enumerate(starts) if start <= row)
    value: bytes | None = _group_bytes(path, changed, group, leaf)[row - starts[group]].as_py()
    return value


def is_missing(value: Any) -> bool:
    """Whether a cell says nothing."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def _read_csv(path: Path) -> TableFile:
    csv.field_size_limit(_LONGEST_CELL)
    with open_text(path, encoding="utf-8-sig", newline="") as stream:
        head = stream.readline()
        stream.seek(0)
        delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=head.count)
        lines = csv.reader(stream, delimiter=delimiter)
        columns = tuple(name.strip() for name in next(lines, []))
        rows = [_csv_row(n, columns, cells) for n, cells in enumerate(filter(None, lines))]
    return TableFile(path, columns, rows)


def _csv_row(number: int, columns: Sequence[str], cells: Sequence[str]) -> Row:
    fault = ""
    if len(cells) != len(columns):
        fault = f"row {number + 1} has {len(cells)} cells, the head has {len(columns)}; correct it"
    return Row(number, dict(zip(columns, cells, strict=False)), fault)


def _read_json_lines(path: Path) -> TableFile:
    with open_text(path, encoding="utf-8-sig") as stream:
        rows = [_json_row(n, line) for n, line in enumerate(filter(str.strip, stream))]
    columns = tuple(dict.fromkeys(name for row in rows for name in row.values))
    return TableFile(path, columns, rows)


def _json_row(number: int, line: str) -> Row:
    try:
        values = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        values = None
    if isinstance(values, dict):
        return Row(number, values)
    return Row(number, {}, f"row {number + 1} is not a JSON object; write one on each line")


def _read_parquet(path: Path) -> TableFile:
    with open_parquet(path) as file:
        schema = file.schema_arrow
        found = {f.name: _bytes_leaf(f) for f in schema}
        bytes_in = {name: leaf for name, leaf in found.items() if leaf}
        bytes_in = {name: leaf for name, leaf in bytes_in.items() if _has_values(file, leaf)}
        rows = [Row(n, values) for n, values in enumerate(_parquet_rows(file, bytes_in))]
    size = size_of(path) // max(len(rows), 1)
    names = _hugging_face_names(schema.metadata or {})
    return TableFile(path, tuple(schema.names), rows, bytes_in, names, size)


def _parquet_rows(file: Any, bytes_in: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Rows without bytes: of Hugging Face's struct {bytes, path} the path is kept."""
    schema = file.schema_arrow
    structs = {f.name for f in schema if pa.types.is_struct(f.type) and _bytes_leaf(f)}
    wanted = [f.name for f in schema if f.name not in structs and not _is_binary(f.type)]
    of_structs = [f"{n}.path" for n in structs if schema.field(n).type.get_field_index("path") >= 0]
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=[*wanted, *of_structs])
        rows = table.to_pylist() if table.num_columns else [{}] * table.num_rows
        for row in rows:
            paths = {name: (row.get(name) or {}).get("path") for name in structs}
            yield {**dict.fromkeys(bytes_in), **row, **paths}


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _bytes_leaf(column: pa.Field) -> str:
    if _is_binary(column.type):
        return str(column.name)
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        return f"{column.name}.bytes"
    return ""


def _has_values(file: Any, leaf: str) -> bool:
    """Whether not all of a column is null, as the file's statistics tell."""
    for group in range(file.num_row_groups):
        info = file.metadata.row_group(group)
        columns = (info.column(n) for n in range(info.num_columns))
        column = next(c for c in columns if c.path_in_schema == leaf)
        known = column.statistics
        if known is None or not known.has_null_count or known.null_count < info.num_rows:
            return True
    return False


def _hugging_face_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Names of class numbers that Hugging Face's `datasets` writes beside the schema."""
    try:
        said = json.loads(metadata.get(b"huggingface", b"{}"))
        features = said["info"]["features"]
        return {column: tuple(names) for column in features if (names := _names(features[column]))}
    except (ValueError, KeyError, TypeError):
        return {}


def _names(feature: Any) -> list[str]:
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
        return list(feature.get("names") or ())
    inner = feature.values() if isinstance(feature, dict) else feature
    if not isinstance(feature, dict | list):
        return []
    return next((names for part in inner if (names := _names(part))), [])


@lru_cache(maxsize=8)
def _group_starts(path: Path, changed: int) -> tuple[int, ...]:
    starts = [0]
    with open_parquet(path) as file:
        for group in range(file.num_row_groups - 1):
            starts.append(starts[-1] + file.metadata.row_group(group).num_rows)
    return tuple(starts)


@lru_cache(maxsize=1)
def _group_bytes(path: Path, changed: int, group: int, leaf: str) -> pa.ChunkedArray:
    with open_parquet(path) as file:
        column = file.read_row_group(group, columns=[leaf]).column(0)
    return compute.struct_field(column, "bytes") if leaf.endswith(".bytes") else column
