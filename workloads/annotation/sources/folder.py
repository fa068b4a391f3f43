"""A folder of images, its subfolders too: every file counts, the ones that cannot be used too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from workloads.annotation.listing import ListedFile
from workloads.annotation.sources.base import Source
from workloads.errors import NotFound
from workloads.files import is_file, is_folder, listing
from workloads.storage.addresses import is_address


class Folder(Source):
    """All files below a folder."""

    kind = "folder"
    summary = "a folder, with its subfolders"

    @classmethod
    def takes(cls, path: Path) -> bool:
        return True

    def covers(self, folder: Path) -> bool:
        return folder.is_relative_to(self.path)

    def files(self) -> Iterator[ListedFile]:
        return walk(self.path)


def walk(folder: Path) -> Iterator[ListedFile]:
    """All regular files below a folder, by name; hidden ones (`.name`) are left out.

    They come as they are found, so memory holds one folder at a time. Whether a file is an image
    shows when it is read. Links are followed, as those of dvc and git-annex lead out of the
    folder; a link to a folder only if that is neither in the listed folder nor around it, so that
    no image comes twice. Other links to folders, broken links and names that are not UTF-8 are
    listed as refused.

    Raises:
        NotFound: no such folder, or a folder in it cannot be listed.
    """
    if is_file(folder):
        raise NotFound(
            f"{folder}: is a file; give the folder that holds it, a list of files (.txt), tar or "
            "Parquet files"
        )
    if not is_folder(folder):
        raise NotFound(f"{folder}: no such folder; give a folder of images")
    return _in_bucket(folder) if is_address(folder) else _walk(Path(os.path.realpath(folder)))


def _in_bucket(folder: Path) -> Iterator[ListedFile]:
    for found in listing(folder):
        names = found.path.relative_to(folder).parts
        if not any(name.startswith(".") for name in names):
            yield ListedFile("/".join(names), found.num_bytes, found.changed_ns)


def _walk(root: Path) -> Iterator[ListedFile]:
    seen = [root]  # what a link to a folder must not meet again

    def below(prefix: str) -> Iterator[ListedFile]:
        for name, entry in _entries(root, prefix):
            if not name.endswith("/"):
                yield _listed(name, entry)
            elif not entry.is_symlink():
                yield from below(name)
            elif _meets(target := _real(entry), seen):
                yield _listed(name[:-1], entry)
            else:
                seen.append(target)
                yield from below(name)

    return below("")


def _entries(root: Path, prefix: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Names of files, links and folders (ending with "/") of a folder, with their entries.

    A folder stands where its files do among all names.
    """
    try:
        with os.scandir(root / prefix) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except (PermissionError, FileNotFoundError) as error:
        raise NotFound(
            f"{root / prefix}: cannot be listed ({error.strerror}); let this user read it, or move "
            "it away from the images"
        ) from None
    named = [
        (f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}", entry)
        for entry in found
        if entry.is_dir() or entry.is_symlink() or entry.is_file()
    ]
    return sorted(named, key=lambda pair: pair[0])


def _real(entry: os.DirEntry[str]) -> Path:
    return Path(os.path.realpath(entry.path))


def _meets(target: Path, seen: list[Path]) -> bool:
    """Whether a folder is in one that is listed, or around it."""
    return any(target.is_relative_to(one) or one.is_relative_to(target) for one in seen)


def _listed(name: str, entry: os.DirEntry[str]) -> ListedFile:
    info, refused = entry.stat(follow_symlinks=False), None
    if entry.is_symlink():
        refused = _bad_link(Path(entry.path))
        info = info if refused else entry.stat()
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
