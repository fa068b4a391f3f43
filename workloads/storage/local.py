"""Artifacts in the file system."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa


class Listed(NamedTuple):
    """A file as a listing has it.

    Attributes:
        changed_ns: when it was last written, nanoseconds since 1970 (whole seconds in a bucket).
    """

    path: Path
    num_bytes: int
    changed_ns: int


class LocalStorage:
    """Artifacts in folders that this machine sees; see `workloads.storage.storage.Storage`."""

    def files(self, folder: Path) -> list[Path]:
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def listing(self, folder: Path, *, deep: bool = True) -> list[Listed]:
        files = self.files(folder) if deep else filter(Path.is_file, self.entries(folder))
        found = ((path, path.stat()) for path in files)
        return [Listed(path, info.st_size, info.st_mtime_ns) for path, info in found]

    def entries(self, folder: Path) -> list[Path]:
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def exists(self, path: Path) -> bool:
        return path.is_file()

    def is_folder(self, path: Path) -> bool:
        return path.is_dir()

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def changed_ns(self, path: Path) -> int:
        return path.stat().st_mtime_ns

    def open(self, path: Path) -> BufferedReader:
        return path.open("rb")

    def open_random(self, path: Path) -> pa.NativeFile:
        import pyarrow as pa  # large, and few files are Parquet

        return pa.OSFile(os.fsencode(path))  # bytes: a name may be no text

    def local(self, path: Path) -> Path | None:
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
    def publish_folder(self, path: Path, last: str) -> Iterator[Path]:
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
        try:
            with _locked(path.parent):
                if path.read_text(encoding="utf-8") != old:
                    return False
                if new is None:
                    path.unlink()
                else:
                    with self.publish_file(path) as temporary:
                        temporary.write_text(new, encoding="utf-8")
        except FileNotFoundError:
            return False
        return True

    def append(self, path: Path, line: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _drop_torn_line(descriptor)
            if os.write(descriptor, line) < len(line):
                _drop_torn_line(descriptor)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        finally:
            os.close(descriptor)


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


def _drop_torn_line(descriptor: int) -> None:
    """Cut what follows the last newline: a writer was killed, or the disk was full."""
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - 4096)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
