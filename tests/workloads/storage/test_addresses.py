"""Addresses are paths that have lost a slash; who prints them puts it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from workloads.errors import ConfigError
from workloads.storage.addresses import (
    absolute,
    below,
    check_address,
    is_address,
    place_of,
    refuse_address,
    shown,
    with_slashes,
)


def test_an_address_is_a_path() -> None:
    path = Path("s3://bucket/a b") / "c.txt"
    assert is_address(path)
    assert place_of(path) == ("s3", "bucket", "a b/c.txt")
    assert place_of(Path("gs://bucket/")) == ("gs", "bucket", "")
    assert shown(path) == "s3://bucket/a b/c.txt"
    assert absolute(path) == path
    assert Path(str(path)) == path
    assert path.relative_to(Path("s3://bucket")) == Path("a b/c.txt")
    assert path.parent.name == "a b"


@pytest.mark.parametrize("path", ["photos", "/a/s3:/b", "./s3:x", "C:x", "a b:c/d", "s3x:/y"])
def test_folders_are_none(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_address(Path(path))
    assert shown(Path(path)) == str(Path(path))
    assert absolute(Path(path)) == (tmp_path / path).resolve()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3:/b/x: no such file", "s3://b/x: no such file"),
        ("made s3:/b/x and gs:/c/y.", "made s3://b/x and gs://c/y."),
        ('{"folder": "s3:/b/x"}', '{"folder": "s3://b/x"}'),
        ("s3://b/x", "s3://b/x"),
        ("/home/s3:/b, https://h/s3:/b", "/home/s3:/b, https://h/s3:/b"),
        ("a ratio of 3:/2", "a ratio of 3:/2"),
    ],
)
def test_slashes_come_back(text: str, said: str) -> None:
    assert with_slashes(text) == said
    assert with_slashes(said) == said


@pytest.mark.parametrize("address", ["s3://B/x", "s3://a", "gs://b_/x"])
def test_a_bucket_must_be_one(address: str) -> None:
    with pytest.raises(ConfigError, match="is no bucket; write"):
        place_of(Path(address))


def test_an_address_climbs_to_its_bucket_at_most() -> None:
    assert place_of(Path("s3://bucket/a/../b")).key == "b"
    assert place_of(Path("s3://bucket/a/../../../other/b")) == ("s3", "bucket", "other/b")


def test_names_of_files_may_be_whole() -> None:
    assert below(Path("s3://bucket/a"), "b/c") == Path("s3://bucket/a/b/c")
    assert below(Path("/data"), "s3:/bucket/c") == Path("s3://bucket/c")
    assert below(Path("/data"), "/b") == Path("/b")


@pytest.mark.parametrize("address", ["hdfs://n/photos", "https://h/x"])
def test_other_addresses_are_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scheme = address.partition(":")[0]
    with pytest.raises(
        ConfigError, match=f"--root {address}: {scheme} addresses are not supp.* s3:// or gs://"
    ):
        check_address(Path(address), "--root")
    Path(address).mkdir(parents=True)
    check_address(Path(address), "--root")  # who has such a folder means it


@pytest.mark.parametrize("path", ["photos", "/a/b", "./s3:x", "C:x", "a b:c/d", "~/x"])
def test_folders_are_taken(path: str) -> None:
    check_address(Path(path), "--root")
    refuse_address(Path(path), "--root", "copy it")


def test_where_a_folder_is_needed_the_advice_says_so() -> None:
    with pytest.raises(ConfigError, match=r"^--x s3://bucket/a: cannot be in object .*; copy it$"):
        refuse_address(Path("s3://bucket/a"), "--x", "copy it")
