"""Access to the files of artifacts: list, open, publish whole, remove.

Nothing else opens, lists or removes a file of an artifact, so another kind of storage is one
more class here. Publishing gives a path on this machine's disk to fill, since libraries write
files; what was filled then appears at its place at once or not at all.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from workloads.errors import ConfigError


class Storage(Protocol):
    """A place where artifacts are kept."""

    def files(self, folder: Path) -> list[Path]:
        """All files below a folder, at any depth, in order; none if there is no such folder."""

    def exists(self, path: Path) -> bool:
        """Whether there is a file of this name; a folder is none."""

    def size(self, path: Path) -> int:
        """Bytes in a file.

        Raises:
            FileNotFoundError: there is none.
        """

    def open(self, path: Path) -> BufferedReader:
        """A file to read from its start to its end.

        Raises:
            FileNotFoundError: there is none.
        """

    def open_random(self, path: Path) -> pa.NativeFile:
        """A file to read in any order, as Parquet is.

        Raises:
            FileNotFoundError: there is none.
        """

    def local(self, path: Path) -> Path:
        """The file on this machine's disk, for libraries that read nothing else."""

    def publish_file(self, path: Path) -> AbstractContextManager[Path]:
        """Give a path to write a file to; it replaces `path` on success, and goes on error.

        Raises:
            OSError: as the file system says (a full disk, say); it names a file, and nothing is
                left behind.
        """

    def publish_folder(self, path: Path) -> AbstractContextManager[Path]:
        """Give an empty folder to fill; it replaces `path` on success, and goes on error.

        Raises:
            OSError: as `publish_file` does.
        """

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""

    def create(self, path: Path, text: str) -> bool:
        """Write a small file whole if there is none; whether it was written."""

    def swap(self, path: Path, old: str, new: str | None) -> bool:
        """Replace a small file (None: remove it) if it holds `old`; whether it did."""


class LocalStorage:
    """Artifacts in the file system."""

    def files(self, folder: Path) -> list[Path]:
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def exists(self, path: Path) -> bool:
        return path.is_file()

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def open(self, path: Path) -> BufferedReader:
        return path.open("rb")

    def open_random(self, path: Path) -> pa.NativeFile:
        return pa.OSFile(os.fsencode(path))  # bytes: a name may be no text

    def local(self, path: Path) -> Path:
        return path

    @contextmanager
    def publish_file(self, path: Path) -> Iterator[Path]:
        temporary = _sibling(path)
        try:
            with _naming(path):
                yield temporary
                _sync(temporary)
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def publish_folder(self, path: Path) -> Iterator[Path]:
        temporary = _sibling(path)
        temporary.mkdir()
        try:
            with _naming(path):
                yield temporary
                if path.exists():
                    shutil.rmtree(path)
                temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def create(self, path: Path, text: str) -> bool:
        temporary = _sibling(path)
        try:
            temporary.write_text(text, encoding="utf-8")
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def swap(self, path: Path, old: str, new: str | None) -> bool:
        with _locked(path.parent):
            try:
                if path.read_text(encoding="utf-8") != old:
                    return False
            except FileNotFoundError:
                return False
            if new is None:
                path.unlink()
            else:
                with self.publish_file(path) as temporary:
                    temporary.write_text(new, encoding="utf-8")
        return True


_LOCAL = LocalStorage()
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/.*")


def refuse_address(path: Path, what: str) -> None:
    """Refuse an address such as s3://bucket/images where a folder is meant.

    Args:
        what: it is, in the user's words.

    Raises:
        ConfigError: it is one; a `Path` has lost one of its slashes.
    """
    found = _ADDRESS.fullmatch(str(path))
    if found and not path.exists():
        raise ConfigError(
            f"{what} {found[1]}:/{str(path)[len(found[1]) + 1 :]}: {found[1]} addresses are not "
            "supported; give a folder of this machine (copy it, or mount the bucket)"
        )


def storage_of(path: Path) -> Storage:
    """The storage that a path is in."""
    return _LOCAL


def _sibling(path: Path) -> Path:
    """A free hidden name beside a path, in a folder that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A full disk is reported by a write, which does not know the name of its file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps two processes of this machine from swapping at the same moment."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
