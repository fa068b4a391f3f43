"""Files that users bring, in a folder of this machine or in object storage.

What `pathlib` says of local files, for both; artifacts go through `workloads.artifacts`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from workloads.storage.addresses import is_address
from workloads.storage.local import Listed
from workloads.storage.storage import storage_of


def is_file(path: Path) -> bool:
    """Whether there is a file of this name."""
    return storage_of(path).exists(path)


def is_folder(path: Path) -> bool:
    """Whether there is a folder of this name."""
    return storage_of(path).is_folder(path)


def there(path: Path) -> bool:
    """Whether there is a file or a folder of this name."""
    return is_file(path) or is_folder(path)


def size(path: Path) -> int:
    """Bytes in a file.

    Raises:
        FileNotFoundError: there is none.
    """
    return storage_of(path).size(path)


def changed_ns(path: Path) -> int:
    """When a file was last written, nanoseconds since 1970.

    Raises:
        FileNotFoundError: there is none.
    """
    return storage_of(path).changed_ns(path)


def open_bytes(path: Path) -> BinaryIO:
    """A file to read.

    Raises:
        FileNotFoundError: there is none.
    """
    return path.open("rb") if not is_address(path) else storage_of(path).open(path)


@contextmanager
def open_text(
    path: Path, encoding: str = "utf-8", errors: str | None = None, newline: str | None = None
) -> Iterator[TextIO]:
    """A text file to read; arguments are those of `open`."""
    with (
        open_bytes(path) as stream,
        io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline=newline) as text,
    ):
        yield text


def read_bytes(path: Path) -> bytes:
    """The bytes of a file."""
    with open_bytes(path) as stream:
        return stream.read()


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file, newlines as `\\n`."""
    with open_text(path, encoding) as stream:
        return stream.read()


def entries(folder: Path) -> list[Path]:
    """Files and folders directly in a folder, in order; none if there is no such folder."""
    return storage_of(folder).entries(folder)


def listing(folder: Path, *, deep: bool = True) -> list[Listed]:
    """The files below a folder, or only those directly in it, with sizes and times, in order."""
    return storage_of(folder).listing(folder, deep=deep)


def matching(folder: Path, pattern: str) -> Iterator[Path]:
    """Files and folders that `folder.glob(pattern)` finds, for patterns without `**`."""
    if not is_address(folder):
        yield from folder.glob(pattern)
        return
    first, _, rest = pattern.partition("/")
    if not any(letter in first for letter in "*?["):
        if rest:
            yield from matching(folder / first, rest)
        elif there(folder / first):
            yield folder / first
        return
    for entry in entries(folder):
        if entry.match(first):
            if rest:
                yield from matching(entry, rest)
            elif pattern == first or is_folder(entry):  # `*/` asks for folders
                yield entry
