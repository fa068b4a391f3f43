"""Files of artifacts are published whole or not at all, whatever their names."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.parquet import count_rows, read_columns, write_parquet
from workloads.storage.local import LocalStorage
from workloads.storage.storage import storage_of

# Any name that a file system takes, with room for what a temporary name adds to it.
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40
).filter(lambda name: not name.startswith("."))
AWKWARD = st.sampled_from(
    ["a b", "it's", 'say "x"', "two\nlines", "Zürich 東京", "a=b", "c:d", "%20"]
)


@given(NAMES | AWKWARD, st.lists(st.integers(0, 99)))
def test_any_name_is_published_listed_read_and_removed(name: str, values: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name / name
        storage = storage_of(path)
        write_parquet(path, pa.table({"x": values, "y": values}))
        assert storage.files(Path(folder)) == [path]
        assert read_columns(path, ["x"]).to_pydict() == {"x": values}
        assert count_rows(path) == len(values)
        with storage.open(path) as stream, storage.open_random(path) as random:
            assert stream.read() == random.read()
        storage.remove(path)
        assert not storage.exists(path)


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    storage = LocalStorage()
    with storage.publish_folder(tmp_path / "a", "x") as folder:
        (folder / "x").write_text("old")
    with pytest.raises(RuntimeError), storage.publish_folder(tmp_path / "a", "x") as folder:
        (folder / "x").write_text("new")
        raise RuntimeError
    with pytest.raises(RuntimeError), storage.publish_file(tmp_path / "a" / "x") as path:
        path.write_text("new")
        raise RuntimeError
    assert storage.files(tmp_path) == [tmp_path / "a" / "x"]
    assert (tmp_path / "a" / "x").read_text() == "old"


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="left") as caught,
        storage_of(tmp_path).publish_file(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, "no space left")
    assert caught.value.filename == str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    storage = storage_of(tmp_path)
    assert storage.files(tmp_path / "none") == []
    assert not storage.exists(tmp_path)
    for read in (storage.size, storage.open, storage.open_random):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")
    storage.remove(tmp_path / "none")


@pytest.mark.parametrize("options", [{}, {"compression": "ZSTD"}])
def test_tables_get_the_bytes_that_pyarrow_writes(tmp_path: Path, options: dict[str, str]) -> None:
    table = pa.table({"a": [0.5, None], "b": [[1, 2], []], "c": ["x", "y"]})
    pq.write_table(table, tmp_path / "theirs", **options)
    write_parquet(tmp_path / "ours", table, **options)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
