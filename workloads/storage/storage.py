"""Access to the files of artifacts: list, open, publish whole, remove.

Nothing else opens, lists or removes a file of an artifact, so another kind of storage is one
more class like `LocalStorage` and `ObjectStorage`. Publishing gives a path on this machine's disk
to fill, since libraries write files; what was filled then appears at its place whole.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workloads.storage.addresses import is_address
from workloads.storage.local import Listed, LocalStorage

if TYPE_CHECKING:
    import pyarrow as pa


class Storage(Protocol):
    """A place where artifacts are kept.

    All methods raise `OSError` as the file system says; where a network lies between, that is
    `StorageError` once the storage has not answered for longer than is waited for.
    """

    def files(self, folder: Path) -> list[Path]:
        """All files below a folder, at any depth, in order; none if there is no such folder."""

    def listing(self, folder: Path, *, deep: bool = True) -> list[Listed]:
        """As `files`, with sizes and times: one request for a thousand in object storage.

        Args:
            deep: at any depth, not only directly in the folder.
        """

    def entries(self, folder: Path) -> list[Path]:
        """Files and folders directly in a folder, in order; none if there is no such folder."""

    def exists(self, path: Path) -> bool:
        """Whether there is a file of this name; a folder is none."""

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder of this name; in object storage, one that holds a file."""

    def size(self, path: Path) -> int:
        """Bytes in a file.

        Raises:
            FileNotFoundError: there is none.
        """

    def changed_ns(self, path: Path) -> int:
        """When a file was last written, nanoseconds since 1970 (whole seconds in a bucket).

        Raises:
            FileNotFoundError: there is none.
        """

    def open(self, path: Path) -> BufferedReader:
        """A file to read, quick from its start to its end.

        Raises:
            FileNotFoundError: there is none.
        """

    def open_random(self, path: Path) -> pa.NativeFile:
        """A file to read in any order, as Parquet is.

        Raises:
            FileNotFoundError: there is none.
        """

    def local(self, path: Path) -> Path | None:
        """The file on this machine's disk, for libraries that map it; None if it is not there."""

    def publish_file(self, path: Path) -> AbstractContextManager[Path]:
        """Give a path to write a file to; it replaces `path` on success, and goes on error.

        Raises:
            OSError: as the file system says (a full disk, say); it names a file, and nothing is
                left behind.
        """

    def publish_folder(self, path: Path, last: str) -> AbstractContextManager[Path]:
        """Give an empty folder to fill; it replaces `path` on success, and goes on error.

        Args:
            last: the file that makes the folder count. Where a folder cannot appear at once, the
                old one goes first and the new one comes last.

        Raises:
            OSError: as `publish_file` does.
        """

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""

    def create(self, path: Path, text: str) -> bool:
        """Write a small file whole if there is none; whether it was written."""

    def swap(self, path: Path, old: str, new: str | None) -> bool:
        """Replace a small file (None: remove it) if it holds `old`; whether it did.

        Where nothing can be removed on a condition, an empty file stays that `create` takes for
        none.
        """

    def append(self, path: Path, line: bytes) -> None:
        """Add a line, newline included, after the last whole one; it is seen whole or not at all.

        It survives the death of this process. One process writes a file at a time.
        """


_LOCAL = LocalStorage()


def storage_of(path: Path) -> Storage:
    """The storage that a path is in.

    Raises:
        ConfigError: it is an address without a bucket (when the storage is used).
    """
    return _object_storage() if is_address(path) else _LOCAL


@cache
def _object_storage() -> Storage:
    from workloads.storage.objects import ObjectStorage  # a library that few need

    return ObjectStorage()
