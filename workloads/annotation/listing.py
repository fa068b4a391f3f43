"""Listing of a folder of images: every file counts, the ones that cannot be used too."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workloads.artifacts import digest
from workloads.errors import InputRejected, NotFound
from workloads.files import is_file, is_folder, listing
from workloads.images.decode import ImageLimits, read_image_bytes
from workloads.storage.addresses import is_address


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a folder.

    Attributes:
        name: POSIX path relative to the folder. Bytes that are not UTF-8 are written as `\\xff`;
            such a file is refused, so the name is never opened.
        num_bytes, mtime_ns: size and time of change, to see later whether the file changed.
        refused: why the file is not even opened; None if it is.
        read_as: its name when it was annotated, if another.
    """

    name: str
    num_bytes: int
    mtime_ns: int
    refused: str | None = None
    read_as: str | None = None

    @property
    def in_part(self) -> str:
        """The name under which its part has it."""
        return self.read_as or self.name


def list_images(folder: Path) -> list[ListedFile]:
    """All regular files below a folder, by name; hidden ones (`.name`) are left out.

    Whether a file is an image shows when it is read. Links are followed, as those of dvc and
    git-annex lead out of the folder; a link to a folder only if that is neither in the listed
    folder nor around it, so that no image comes twice. Other links to folders, broken links and
    names that are not UTF-8 are listed as refused.

    Raises:
        NotFound: no such folder, or a folder in it cannot be listed.
    """
    if is_file(folder):
        raise NotFound(f"{folder}: is a file; give the folder that holds it")
    if not is_folder(folder):
        raise NotFound(f"{folder}: no such folder; give a folder of images")
    if is_address(folder):
        return sorted(_in_bucket(folder), key=lambda file: file.name)
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


def _in_bucket(folder: Path) -> Iterator[ListedFile]:
    for found in listing(folder):
        names = found.path.relative_to(folder).parts
        if not any(name.startswith(".") for name in names):
            yield ListedFile("/".join(names), found.num_bytes, found.changed_ns)


def _walk(root: Path) -> Iterator[ListedFile]:
    folders, seen = [""], [root]  # seen: what a link to a folder must not meet again
    while folders:
        prefix = folders.pop()
        for entry in sorted(_entries(root / prefix), key=lambda entry: entry.name):
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{name}/")
            elif entry.is_symlink() and entry.is_dir() and not _meets(target := _real(entry), seen):
                seen.append(target)
                folders.append(f"{name}/")
            elif entry.is_symlink() or entry.is_file():
                yield _listed(root, name)


def _real(entry: os.DirEntry[str]) -> Path:
    return Path(os.path.realpath(entry.path))


def _meets(target: Path, seen: list[Path]) -> bool:
    """Whether a folder is in one that is listed, or around it."""
    return any(target.is_relative_to(one) or one.is_relative_to(target) for one in seen)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (PermissionError, FileNotFoundError) as error:
        raise NotFound(
            f"{folder}: cannot be listed ({error.strerror}); let this user read it, or move it "
            "away from the images"
        ) from None


def _listed(root: Path, name: str) -> ListedFile:
    info = (root / name).lstat()
    refused = _bad_link(root / name) if stat.S_ISLNK(info.st_mode) else None
    if refused is None and stat.S_ISLNK(info.st_mode):
        info = (root / name).stat()
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("utf-8", "backslashreplace")
        refused = "its name is not UTF-8; rename it"
    return ListedFile(name, info.st_size, info.st_mtime_ns, refused)


def _bad_link(link: Path) -> str | None:
    target = Path(os.path.realpath(link))
    if not target.exists():
        return "a link to nothing; remove it, or get the file that it names"
    if target.is_dir():
        return "a link to a folder that is listed already, or holds this one; remove it"
    return None if target.is_file() else "a link to something that is no file; remove it"


@dataclass(frozen=True)
class Listing:
    """The files of an annotation in their fixed order, cut in chunks of at most the same size.

    Attributes:
        added: files of each later addition; they come behind the others, in chunks of their own.
    """

    files: tuple[ListedFile, ...]
    chunk_images: int
    added: tuple[int, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over names, sizes and times of change."""
        found = [[f.name, f.num_bytes, f.mtime_ns, f.refused] for f in self.files]
        return digest({"files": found})

    @property
    def chunks(self) -> range:
        """Indices of the chunks."""
        return range(len(self._bounds))

    def chunk(self, index: int) -> tuple[ListedFile, ...]:
        """The files of one chunk."""
        first, end = self._bounds[index]
        return self.files[first:end]

    def first_id(self, index: int) -> int:
        """Image id of a chunk's first file; ids are positions in the listing, from 1."""
        return self._bounds[index][0] + 1

    @cached_property
    def _bounds(self) -> list[tuple[int, int]]:
        """First file of each chunk, and the one behind its last."""
        bounds, start = [], 0
        for count in (len(self.files) - sum(self.added), *self.added):
            for first in range(start, start + count, self.chunk_images):
                bounds.append((first, min(first + self.chunk_images, start + count)))
            start += count
        return bounds
