"""Listing of a folder of images: every file counts, the ones that cannot be used too."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from workloads.artifacts import digest
from workloads.errors import InputRejected, NotFound
from workloads.images.decode import ImageLimits, read_image_bytes


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a folder.

    Attributes:
        name: POSIX path relative to the folder. Bytes that are not UTF-8 are written as `\\xff`;
            such a file is refused, so the name is never opened.
        num_bytes, mtime_ns: size and time of change, to see later whether the file changed.
        refused: why the file is not even opened; None if it is.
    """

    name: str
    num_bytes: int
    mtime_ns: int
    refused: str | None = None


def list_images(folder: Path) -> list[ListedFile]:
    """All regular files below a folder, by name; hidden ones (`.name`) are left out.

    Whether a file is an image shows when it is read. Links are followed to files within the
    folder only. A link out of it, a broken link, a link to a folder and a name that is not UTF-8
    are listed as refused.

    Raises:
        NotFound: no such folder, or a folder in it cannot be listed.
    """
    if not folder.is_dir():
        raise NotFound(f"{folder}: no such folder; give a folder of images")
    root = Path(os.path.realpath(folder))
    return sorted(_walk(root), key=lambda file: file.name)


def read_image_file(path: Path, limits: ImageLimits) -> bytes:
    """The bytes of one listed file.

    Raises:
        TooLarge: over the limit on bytes; it is not read then.
        InputRejected: gone, or not readable by this user.
        OSError: anything else, as it says more about the machine than about the file.
    """
    try:
        return read_image_bytes(path, limits)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise InputRejected("removed after the folder was listed; put it back") from None
    except PermissionError:
        raise InputRejected("this user may not read it; change its permissions") from None


def _walk(root: Path) -> Iterator[ListedFile]:
    folders = [""]
    while folders:
        prefix = folders.pop()
        for entry in _entries(root / prefix):
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{name}/")
            elif entry.is_symlink() or entry.is_file():
                yield _listed(root, name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (PermissionError, FileNotFoundError) as error:
        raise NotFound(f"{folder}: cannot be listed ({error.strerror})") from None


def _listed(root: Path, name: str) -> ListedFile:
    info = (root / name).lstat()
    refused = _bad_link(root, name) if stat.S_ISLNK(info.st_mode) else None
    if refused is None and stat.S_ISLNK(info.st_mode):
        info = (root / name).stat()
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("utf-8", "backslashreplace")
        refused = "its name is not UTF-8; rename it"
    return ListedFile(name, info.st_size, info.st_mtime_ns, refused)


def _bad_link(root: Path, name: str) -> str | None:
    target = Path(os.path.realpath(root / name))
    if not target.exists():
        return "a link to nothing; remove it"
    if target.is_dir():
        return "a link to a folder is not followed; put the folder itself here"
    if not target.is_relative_to(root) or not target.is_file():
        return "a link out of the folder is not followed; put the file itself here"
    return None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of an annotation in their fixed order, cut in chunks of the same size."""

    files: tuple[ListedFile, ...]
    chunk_images: int

    @property
    def digest(self) -> str:
        """SHA-256 over names, sizes and times of change."""
        return digest({"files": [list(asdict(file).values()) for file in self.files]})

    @property
    def chunks(self) -> range:
        """Indices of the chunks."""
        return range(-(-len(self.files) // self.chunk_images))

    def chunk(self, index: int) -> tuple[ListedFile, ...]:
        """The files of one chunk."""
        first = index * self.chunk_images
        return self.files[first : first + self.chunk_images]

    def first_id(self, index: int) -> int:
        """Image id of a chunk's first file; ids are positions in the listing, from 1."""
        return index * self.chunk_images + 1
