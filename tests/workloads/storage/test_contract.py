"""What every storage promises: whole or not at all, one writer wins, names come back."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pyarrow as pa
import pytest

from workloads.artifacts import (
    atomic_folder,
    is_sealed,
    read_json,
    read_manifest,
    seal,
    verify,
    write_json,
    write_text,
)
from workloads.parquet import open_parquet, parquet_writer
from workloads.storage.storage import storage_of

AWKWARD = ["a b", "it's", 'say "x"', "Zürich 東京", "a=b", "c:d", "%20", "#1", "a+b&c?d", "~x"]


def test_a_file_is_published_read_replaced_and_removed(place: Path) -> None:
    storage, path = storage_of(place), place / "deep" / "file.txt"
    assert not storage.exists(path)
    for text in ("one", "two, longer"):
        write_text(path, text)
        assert storage.exists(path)
        assert storage.size(path) == len(text)
        with storage.open(path) as stream:
            assert stream.read() == text.encode()
    assert abs(storage.changed_ns(path) / 1e9 - time.time()) < 60
    storage.remove(path)
    storage.remove(path)
    assert not storage.exists(path)


def test_an_empty_file_is_a_file(place: Path) -> None:
    write_text(place / "empty", "")
    assert storage_of(place).exists(place / "empty")
    with storage_of(place).open(place / "empty") as stream:
        assert stream.read() == b""
    with storage_of(place).open_random(place / "empty") as source:
        assert source.read() == b""


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_come_back(place: Path, name: str) -> None:
    path = place / name / name
    write_text(path, name)
    assert storage_of(place).files(place) == [path]
    assert storage_of(place).entries(place) == [place / name]
    with storage_of(place).open(path) as stream:
        assert stream.read().decode() == name


def test_folders_are_what_files_are_in(place: Path) -> None:
    storage = storage_of(place)
    assert storage.files(place) == storage.entries(place) == []
    assert not storage.is_folder(place)
    for name in ("b/2", "b/1", "a", "b.x"):
        write_text(place / name, name)
    assert storage.files(place) == [place / name for name in ("a", "b/1", "b/2", "b.x")]
    assert storage.entries(place) == [place / name for name in ("a", "b", "b.x")]
    assert storage.is_folder(place)
    assert storage.is_folder(place / "b")
    assert not storage.exists(place / "b")
    assert not storage.is_folder(place / "a")
    assert storage.files(place / "b") == [place / "b/1", place / "b/2"]


def test_what_is_not_there_is_said(place: Path) -> None:
    storage = storage_of(place)
    for read in (storage.size, storage.changed_ns, storage.open, storage.open_random):
        with pytest.raises(FileNotFoundError):
            read(place / "none")
    assert not storage.swap(place / "none", "", "x")


def test_a_failed_writer_changes_nothing(place: Path) -> None:
    write_text(place / "file", "old")
    with atomic_folder(place / "folder") as folder:
        (folder / "x").write_text("old")
        seal(folder, kind="test")
    before = read_manifest(place / "folder", "test")
    with pytest.raises(RuntimeError), storage_of(place).publish_file(place / "file") as path:
        path.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_folder(place / "folder") as folder:
        (folder / "y").write_text("half")
        raise RuntimeError
    assert verify(place / "folder", "test") == before
    names = [p.relative_to(place).as_posix() for p in storage_of(place).files(place)]
    assert names == ["file", "folder/manifest.json", "folder/x"]


def test_a_folder_replaces_the_one_before(place: Path) -> None:
    for names in (("a", "b/c"), ("a", "d")):
        with atomic_folder(place / "folder") as folder:
            for name in names:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(f"{name} of {names}")
            seal(folder, kind="test")
        assert sorted(verify(place / "folder", "test")["files"]) == sorted(names)


def test_a_folder_killed_while_it_appears_does_not_count(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Object storage shows files one by one: the manifest is what counts, and it is last."""
    if storage_of(place).local(place) is not None:
        pytest.skip("appears in one rename")
    import obstore

    put, left = obstore.put, [2]

    def dying(*args: object, **options: object) -> object:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return put(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(obstore, "put", dying)
    with pytest.raises(KeyboardInterrupt), atomic_folder(place / "folder") as folder:
        for name in "a", "z":
            (folder / name).write_text(name)
        seal(folder, kind="test")
    assert not is_sealed(place / "folder")
    assert len(storage_of(place).files(place)) == 2
    left[0] = 9
    with atomic_folder(place / "folder") as folder:
        (folder / "b").write_text("b")
        seal(folder, kind="test")
    assert list(verify(place / "folder", "test")["files"]) == ["b"]


def test_parquet_is_read_in_any_order(place: Path) -> None:
    table = pa.table({"x": list(range(3000)), "y": [str(i) for i in range(3000)]})
    with parquet_writer(place / "t.parquet", table.schema) as writer:
        writer.write_table(table, row_group_size=1000)
    with open_parquet(place / "t.parquet") as file:
        assert file.metadata.num_row_groups == 3
        assert file.read_row_group(2, columns=["y"])["y"][-1].as_py() == "2999"
        assert file.read().equals(table)


def test_large_files_come_in_pieces(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workloads.storage import objects as object_storage

    monkeypatch.setattr(object_storage, "READ_BYTES", 1000)
    data = bytes(i * i % 251 for i in range(4321))
    with storage_of(place).publish_file(place / "large") as path:
        path.write_bytes(data)
    with storage_of(place).open(place / "large") as stream:
        assert stream.read(10) == data[:10]
        assert stream.read() == data[10:]
        stream.seek(4000)
        assert stream.read(1000) == data[4000:]
    with storage_of(place).open_random(place / "large") as source:
        source.seek(990)
        assert source.read(20) == data[990:1010]


def test_one_creates_and_one_swaps(place: Path) -> None:
    storage, path = storage_of(place), place / "lease"
    assert storage.create(path, "a")
    assert not storage.create(path, "b")
    assert not storage.swap(path, "b", "c")
    assert storage.swap(path, "a", "c")
    with storage.open(path) as stream:
        assert stream.read() == b"c"
    assert storage.swap(path, "c", None)
    assert not storage.swap(path, "c", "d")
    assert storage.create(path, "e")
    assert not storage.create(path, "f")


def _count(place: str, times: int) -> None:
    """Add one to a counter, by swapping alone, so many times."""
    path = Path(place) / "counter"
    storage = storage_of(path)
    done = 0
    while done < times:
        with storage.open(path) as stream:
            old = stream.read().decode()
        done += storage.swap(path, old, str(int(old) + 1))


def _create(place: str, names: int) -> int:
    storage = storage_of(Path(place))
    return sum(storage.create(Path(place) / f"{i}", "x") for i in range(names))


def test_processes_lose_no_swap_and_share_what_they_create(place: Path) -> None:
    write_text(place / "counter", "0")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(_count, [(str(place), 15)] * 2, chunksize=1)
        created = pool.starmap(_create, [(str(place), 15)] * 2, chunksize=1)
    with storage_of(place).open(place / "counter") as stream:
        assert stream.read() == b"30"
    assert sum(created) == 15


def test_lines_are_appended_whole(place: Path) -> None:
    storage, path = storage_of(place), place / "deep" / "log"
    for line in (b"one\n", b"two\n"):
        storage.append(path, line)
    with storage.open(path) as stream:
        assert stream.read() == b"one\ntwo\n"


def test_json_comes_back(place: Path) -> None:
    write_json(place / "x.json", {"a": ["ü", None]})
    assert read_json(place / "x.json") == {"a": ["ü", None]}


def test_marks_of_folders_are_no_files(bucket: Path) -> None:
    """Consoles of clouds and Arrow leave empty objects whose names end in a slash."""
    import boto3

    for name in ("place/", "place/a/", "place/empty folder/"):
        boto3.client("s3").put_object(Bucket=bucket.name, Key=name, Body=b"")
    write_text(bucket / "place/a/x", "x")
    write_text(bucket / "place/nothing in it", "")
    storage, place = storage_of(bucket), bucket / "place"
    assert storage.files(place) == [place / "a/x", place / "nothing in it"]
    assert storage.entries(place) == [place / "a", place / "empty folder", place / "nothing in it"]
    assert not storage.exists(place / "a")
    assert storage.is_folder(place / "a")
