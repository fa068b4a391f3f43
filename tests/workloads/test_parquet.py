"""Parquet files are written whole or not at all, and read no more than is asked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from workloads.parquet import (
    count_rows,
    open_parquet,
    parquet_writer,
    read_columns,
    write_parquet,
)

TABLE = pa.table({"name": ["a", "b", "c"], "size": [1, 2, 3]})


def test_a_table_comes_back(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", TABLE)
    assert read_columns(tmp_path / "t.parquet").equals(TABLE)
    assert read_columns(tmp_path / "t.parquet", ["size"]).column_names == ["size"]
    assert count_rows(tmp_path / "t.parquet") == 3


def test_row_groups_are_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with parquet_writer(path, TABLE.schema) as writer:
        writer.write_table(TABLE)
        writer.write_table(TABLE.slice(1))
    with open_parquet(path) as file:
        rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert rows == [3, 2]
        assert file.read_row_group(1).equals(TABLE.slice(1))


def test_equal_tables_are_equal_bytes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "one", TABLE)
    write_parquet(tmp_path / "two", pa.table(TABLE.to_pydict()))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_breaks_amid_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"

    def half() -> None:
        with parquet_writer(path, TABLE.schema) as writer:
            writer.write_table(TABLE)
            raise RuntimeError("out of images")

    with pytest.raises(RuntimeError, match="out of images"):
        half()
    assert list(tmp_path.iterdir()) == []


def test_what_breaks_amid_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, TABLE)
    before = path.read_bytes()
    with (
        pytest.raises((TypeError, ValueError, pa.ArrowException)),
        parquet_writer(path, TABLE.schema) as writer,
    ):
        writer.write_table(pa.table({"other": [1.5]}))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_names_of_any_bytes_are_written(tmp_path: Path) -> None:
    """Files are called what people call them, also in an encoding of long ago."""
    path = tmp_path / "caf\udce9 été.parquet"
    write_parquet(path, TABLE)
    assert count_rows(path) == 3


def test_no_file_and_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        count_rows(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("not this")
    with pytest.raises(pa.ArrowException):
        count_rows(tmp_path / "text.parquet")
