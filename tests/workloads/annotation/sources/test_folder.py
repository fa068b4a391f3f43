"""Walking through a folder: complete, in one order, safe against hostile names and links."""

from __future__ import annotations

import os

import pytest

from workloads.annotation.listing import ListedFile
from workloads.annotation.sources.folder import Folder, walk
from workloads.errors import InputRejected, NotFound, TooLarge
from workloads.images.decode import ImageLimits

HOSTILE = [
    "a b.jpg",
    "new\nline.jpg",
    "quote'\".png",
    "semi;$(echo).jpg",
    "tab\t.jpg",
    "trailing ",
    "ünï.jpg",
    "%s%d.jpg",
    "-rf.jpg",
    "back\\slash.jpg",
]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def names(folder) -> list[str]:
    return [file.name for file in walk(folder)]


def refused(folder) -> dict[str, str]:
    return {file.name: file.refused for file in walk(folder) if file.refused}


def test_every_regular_file_in_order(folder):
    for name in ("b.jpg", "a/z.jpg", "a/deep/er/x.txt", "c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345")
    assert names(folder) == ["a/deep/er/x.txt", "a/z.jpg", "b.jpg", "c"]
    assert {file.num_bytes for file in walk(folder)} == {5}


def test_hidden_files_and_folders_are_left_out(folder):
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.jpg").write_bytes(b"x")
    (folder / ".link").symlink_to(folder / "nothing")
    assert names(folder) == []


def test_hostile_names_are_listed_as_they_are(folder):
    for name in HOSTILE:
        (folder / name).write_bytes(b"x")
    assert names(folder) == sorted(HOSTILE)
    assert refused(folder) == {}
    for name in names(folder):
        assert Folder(folder).read(ListedFile(name, 0, 0), ImageLimits()) == b"x"


def test_a_name_that_is_not_utf8_is_refused(folder):
    (folder / "fine.jpg").write_bytes(b"x")
    with open(os.fsencode(folder) + b"/caf\xe9.jpg", "wb") as stream:  # noqa: PTH123
        stream.write(b"x")
    assert names(folder) == ["caf\\xe9.jpg", "fine.jpg"]
    assert refused(folder) == {"caf\\xe9.jpg": "its name is not UTF-8; rename it"}


def test_links(folder, tmp_path):
    """As dvc and git-annex make them: followed to files and folders elsewhere, none twice."""
    outside = tmp_path / "store"
    outside.mkdir()
    (outside / "one.jpg").write_bytes(b"12345")
    (outside / "back").symlink_to(folder)
    (folder / ".git").mkdir()
    (folder / ".git" / "object").write_bytes(b"123")
    (folder / "real.jpg").write_bytes(b"real")
    (folder / "inside.jpg").symlink_to("real.jpg")
    (folder / "annex.jpg").symlink_to(".git/object")
    (folder / "out.jpg").symlink_to(outside / "one.jpg")
    (folder / "broken.jpg").symlink_to("nothing")
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / "album").symlink_to(outside)
    (folder / "album again").symlink_to(outside)
    sizes = {f.name: f.num_bytes for f in walk(folder) if not f.refused}
    assert sizes == {
        "album again/one.jpg": 5, "annex.jpg": 3, "inside.jpg": 4, "out.jpg": 5, "real.jpg": 4
    }  # fmt: skip
    reasons = refused(folder)
    assert sorted(reasons) == ["album", "album again/back", "broken.jpg", "loop", "up"]
    assert "link to nothing" in reasons.pop("broken.jpg")
    assert all("link to a folder that is listed already" in reason for reason in reasons.values())
    for name in sizes:
        assert len(Folder(folder).read(ListedFile(name, 0, 0), ImageLimits())) == sizes[name]


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (folder / "a.jpg").write_bytes(b"x")
    (folder / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "link").symlink_to(folder)
    assert list(walk(tmp_path / "link")) == list(walk(folder))
    assert refused(tmp_path / "link") == {}


def test_pipes_are_left_out(folder):
    os.mkfifo(folder / "pipe.jpg")
    assert names(folder) == []


def test_a_missing_folder(tmp_path):
    with pytest.raises(NotFound, match="no such folder"):
        walk(tmp_path / "nothing")


def test_a_file_over_the_limit_is_not_read(folder):
    (folder / "large").write_bytes(b"123456")
    with pytest.raises(TooLarge, match="6 bytes, at most 5"):
        Folder(folder).read(ListedFile("large", 0, 0), ImageLimits(max_bytes=5))


def test_a_file_that_is_gone(folder):
    with pytest.raises(InputRejected, match="removed after"):
        Folder(folder).read(ListedFile("gone", 0, 0), ImageLimits())


def test_a_single_file_says_to_give_its_folder(folder):
    (folder / "x.jpg").write_bytes(b"x")
    with pytest.raises(NotFound, match=r"x\.jpg: is a file; give the folder that holds it"):
        walk(folder / "x.jpg")
