"""A folder that changed: new files behind the old ones, the same recognised, the gone marked."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from workloads.annotation import listing as listing_module
from workloads.annotation.changes import Changes, compared
from workloads.annotation.listing import ListedFile, Listing, write_listing
from workloads.annotation.sources.folder import Folder, walk

Read = dict[int, str]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of two files: what is written lies in several of them."""
    monkeypatch.setattr(listing_module, "PART_FILES", 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name in ("a.jpg", "sub/b.jpg", "sub/c.jpg"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(name.encode())
    return folder


class Followed:
    """A listing that follows a folder, and what was read of its files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.generation = folder, 0
        place = folder.parent / "listing-0"
        self.listing = Listing(place, 2, (write_listing(place, walk(folder)).files,))
        self.read: Read = {}
        self.note()

    def note(self) -> None:
        """All that is there is read."""
        for number, file in enumerate(self.listing.files(), start=1):
            if not file.gone:
                content = (self.folder / file.name).read_bytes()
                self.read[number] = hashlib.sha256(content).hexdigest()

    def follow(self) -> Changes:
        self.generation += 1
        place = self.folder.parent / f"listing-{self.generation}"
        with compared(self.listing, Folder(self.folder), self.read.get) as comparison:
            changes = comparison.changes
            comparison.write(place)
        new = (changes.new,) if changes.new else ()
        self.listing = Listing(place, 2, (*self.listing.batches, *new))
        return changes

    @property
    def names(self) -> list[str]:
        return [f"-{f.name}" if f.gone else f.name for f in self.listing.files()]


@pytest.fixture
def followed(folder: Path) -> Followed:
    return Followed(folder)


def test_nothing_changed(followed: Followed) -> None:
    before = list(followed.listing.files())
    assert not followed.follow()
    assert list(followed.listing.files()) == before


def test_new_files_come_behind_in_chunks_of_their_own(folder: Path, followed: Followed) -> None:
    (folder / "aa.jpg").write_bytes(b"new")
    assert followed.follow() == Changes(new=1)
    assert followed.names == ["a.jpg", "sub/b.jpg", "sub/c.jpg", "aa.jpg"]
    listing = followed.listing
    chunks = [[f.name for f in listing.chunk(i)] for i in listing.chunks]
    assert chunks == [["a.jpg", "sub/b.jpg"], ["sub/c.jpg"], ["aa.jpg"]]
    assert [listing.first_id(i) for i in listing.chunks] == [1, 3, 4]
    assert [listing.chunk_of(n) for n in (1, 2, 3, 4)] == [0, 0, 1, 2]
    (folder / "0.jpg").write_bytes(b"newer")
    assert followed.follow() == Changes(new=1)
    assert followed.names == ["a.jpg", "sub/b.jpg", "sub/c.jpg", "aa.jpg", "0.jpg"]
    assert followed.listing.batches == (3, 1, 1)


def test_a_touched_file_is_the_same_if_its_content_is(folder: Path, followed: Followed) -> None:
    os.utime(folder / "a.jpg", ns=(1, 1))
    assert followed.follow() == Changes(other=1)
    assert next(followed.listing.files()) == ListedFile("a.jpg", 5, 1)
    (folder / "a.jpg").write_bytes(b"A.jpg")  # as long
    assert followed.follow() == Changes(new=1, gone=1)
    assert followed.names == ["-a.jpg", "sub/b.jpg", "sub/c.jpg", "a.jpg"]
    followed.read.clear()
    os.utime(folder / "a.jpg", ns=(1, 1))
    assert followed.follow() == Changes(back=1, gone=1), "what size and time say is enough"


def test_a_renamed_folder_keeps_what_was_read(folder: Path, followed: Followed) -> None:
    (folder / "sub").rename(folder / "0")
    assert followed.follow() == Changes(other=2)
    assert followed.names == ["a.jpg", "0/b.jpg", "0/c.jpg"]
    (folder / "0").rename(folder / "1")
    assert followed.follow() == Changes(other=2)
    assert followed.names == ["a.jpg", "1/b.jpg", "1/c.jpg"]
    read_as = [f.in_part for f in followed.listing.files()]
    assert read_as == ["a.jpg", "sub/b.jpg", "sub/c.jpg"]


def test_what_is_gone_keeps_its_place_and_may_come_back(folder: Path, followed: Followed) -> None:
    content, stat = (folder / "sub/b.jpg").read_bytes(), (folder / "sub/b.jpg").stat()
    (folder / "sub" / "b.jpg").unlink()
    assert followed.follow() == Changes(gone=1)
    assert followed.names == ["a.jpg", "-sub/b.jpg", "sub/c.jpg"]
    assert not followed.follow(), "it is gone once"
    (folder / "sub/b.jpg").write_bytes(content)
    os.utime(folder / "sub/b.jpg", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert followed.follow() == Changes(back=1)
    assert followed.names == ["a.jpg", "sub/b.jpg", "sub/c.jpg"]


def test_what_was_never_read_is_not_guessed(folder: Path, followed: Followed) -> None:
    del followed.read[3]
    (folder / "sub" / "c.jpg").rename(folder / "sub" / "d.jpg")
    assert followed.follow() == Changes(new=1, gone=1)


def test_two_files_of_one_content_are_two(folder: Path) -> None:
    (folder / "twin.jpg").write_bytes(b"a.jpg")
    followed = Followed(folder)
    (folder / "a.jpg").rename(folder / "x.jpg")
    (folder / "twin.jpg").rename(folder / "y.jpg")
    assert followed.follow() == Changes(other=2)
    assert sorted(followed.names) == ["sub/b.jpg", "sub/c.jpg", "x.jpg", "y.jpg"]


def test_a_file_is_there_by_time_or_by_content(folder: Path, followed: Followed) -> None:
    source, first = Folder(folder), next(followed.listing.files())
    assert source.is_there(first, None)
    os.utime(folder / "a.jpg", ns=(1, 1))
    assert not source.is_there(first, None)
    assert source.is_there(first, followed.read[1])
    (folder / "a.jpg").write_bytes(b"A.jpg")
    assert not source.is_there(first, followed.read[1])
    (folder / "a.jpg").unlink()
    assert not source.is_there(first, followed.read[1])
    assert source.is_there(first._replace(refused="a link"), None)
