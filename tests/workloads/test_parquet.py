"""Parquet files are written whole or not at all, and read no further than asked."""

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

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})


def test_columns_come_in_the_order_of_the_names(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t", TABLE)
    assert read_columns(tmp_path / "t") == TABLE
    assert read_columns(tmp_path / "t", ["b"]).to_pydict() == {"b": ["x", "y", "z"]}
    assert read_columns(tmp_path / "t", []).num_columns == 0


def test_row_groups_are_those_that_were_written(tmp_path: Path) -> None:
    with parquet_writer(tmp_path / "t", TABLE.schema) as writer:
        for start, rows in ((0, 2), (2, 1)):
            writer.write_table(TABLE.slice(start, rows))
    with open_parquet(tmp_path / "t") as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 1]
        assert file.read_row_group(1).to_pydict() == {"a": [3], "b": ["z"]}
    assert count_rows(tmp_path / "t") == 3


def test_no_table_at_all_is_a_file_of_no_rows(tmp_path: Path) -> None:
    with parquet_writer(tmp_path / "t", TABLE.schema):
        pass
    assert count_rows(tmp_path / "t") == 0
    assert read_columns(tmp_path / "t").schema == TABLE.schema


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_parquet(path, TABLE)
    with pytest.raises(RuntimeError, match="killed"), parquet_writer(path, TABLE.schema) as writer:
        writer.write_table(TABLE.slice(0, 1))
        assert list(tmp_path.iterdir()) != [path]  # what is half written lies beside it
        raise RuntimeError("killed")
    assert list(tmp_path.iterdir()) == [path]
    assert read_columns(path) == TABLE


def test_a_table_of_another_schema_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("a", pa.string())])
    with pytest.raises(ValueError, match="schema"), parquet_writer(tmp_path / "t", schema) as w:
        w.write_table(TABLE)
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_or_no_parquet_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_parquet(tmp_path / "none"):
        pass
    write_parquet(tmp_path / "t", TABLE)
    (tmp_path / "t").write_bytes((tmp_path / "t").read_bytes()[:-4])
    with pytest.raises(pa.ArrowException, match="magic bytes"):
        count_rows(tmp_path / "t")
