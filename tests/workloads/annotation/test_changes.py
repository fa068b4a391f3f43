"""A folder that changed: new files behind the old ones, the same recognised, what is lost said."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from workloads.annotation.changes import Changes, follow
from workloads.annotation.listing import ListedFile, Listing, list_images


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.jpg", "sub/b.jpg", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def listed(folder: Path) -> Listing:
    return Listing(tuple(list_images(folder)), 2)


def contents(listing: Listing, folder: Path) -> dict[int, str]:
    return {
        number: hashlib.sha256((folder / file.name).read_bytes()).hexdigest()
        for number, file in enumerate(listing.files, start=1)
    }


def changes(old: Listing, read: dict[int, str], folder: Path) -> Changes:
    return follow(old, list_images(folder), read, folder)


def names(listing: Listing) -> list[str]:
    return [file.name for file in listing.files]


def test_new_files_come_behind_in_chunks_of_their_own(folder):
    old = listed(folder)
    read = contents(old, folder)
    (folder / "aa.jpg").write_bytes(b"new")
    found = changes(old, read, folder)
    assert (found.new, found.lost) == (1, ())
    assert names(found.listing) == ["a.jpg", "sub/b.jpg", "sub/c.jpg", "aa.jpg"]
    chunks = [[f.name for f in found.listing.chunk(i)] for i in found.listing.chunks]
    assert chunks == [["a.jpg", "sub/b.jpg"], ["sub/c.jpg"], ["aa.jpg"]]
    assert [found.listing.first_id(i) for i in found.listing.chunks] == [1, 3, 4]
    (folder / "0.jpg").write_bytes(b"newer")
    again = changes(found.listing, read, folder)
    assert names(again.listing) == [*names(found.listing), "0.jpg"]
    assert again.listing.added == (1, 1)


def test_a_touched_file_is_the_same_if_its_content_is(folder):
    old = listed(folder)
    read = contents(old, folder)
    os.utime(folder / "a.jpg", ns=(1, 1))
    found = changes(old, read, folder)
    assert (found.new, found.lost) == (0, ())
    assert found.listing.files[0] == ListedFile("a.jpg", 5, 1)
    (folder / "a.jpg").write_bytes(b"A.jpg")  # as long
    assert changes(old, read, folder).lost == ("a.jpg",)
    os.utime(folder / "a.jpg", ns=(old.files[0].mtime_ns,) * 2)
    assert changes(old, {}, folder).lost == (), "what size and time say is enough"


def test_a_renamed_folder_keeps_what_was_read(folder):
    old = listed(folder)
    read = contents(old, folder)
    (folder / "sub").rename(folder / "0")
    found = changes(old, read, folder)
    assert (found.new, found.lost) == (0, ())
    assert names(found.listing) == ["a.jpg", "0/b.jpg", "0/c.jpg"]
    assert [f.in_part for f in found.listing.files] == ["a.jpg", "sub/b.jpg", "sub/c.jpg"]
    (folder / "0").rename(folder / "1")
    again = changes(found.listing, read, folder)
    assert names(again.listing) == ["a.jpg", "1/b.jpg", "1/c.jpg"]
    assert [f.in_part for f in again.listing.files] == ["a.jpg", "sub/b.jpg", "sub/c.jpg"]


def test_what_is_gone_or_was_never_read_is_not_guessed(folder):
    old = listed(folder)
    read = contents(old, folder)
    (folder / "sub" / "b.jpg").unlink()
    assert changes(old, read, folder).lost == ("sub/b.jpg",)
    (folder / "sub" / "c.jpg").rename(folder / "sub" / "d.jpg")
    found = changes(old, {n: d for n, d in read.items() if n != 3}, folder)
    assert (found.new, found.lost) == (1, ("sub/b.jpg", "sub/c.jpg"))


def test_two_files_of_one_content_are_two(folder):
    (folder / "twin.jpg").write_bytes(b"a.jpg")
    old = listed(folder)
    read = contents(old, folder)
    (folder / "a.jpg").rename(folder / "x.jpg")
    (folder / "twin.jpg").rename(folder / "y.jpg")
    found = changes(old, read, folder)
    assert (found.new, found.lost) == (0, ())
    assert sorted(names(found.listing)) == ["sub/b.jpg", "sub/c.jpg", "x.jpg", "y.jpg"]
