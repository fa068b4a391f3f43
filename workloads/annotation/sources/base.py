"""The contract of a source: a collection of images in a fixed order, read one by one."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from workloads.annotation.listing import ListedFile
from workloads.errors import InputRejected
from workloads.images.decode import ImageLimits, read_image_bytes
from workloads.storage.storage import storage_of


class Source(abc.ABC):
    """Images that lie as files below a folder; other kinds say how theirs are read.

    Class attributes:
        kind: the registry name.
        summary: for people, one line.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @abc.abstractmethod
    def takes(cls, path: Path) -> bool:
        """Whether a path looks like one of this kind."""

    @property
    def root(self) -> Path:
        """The folder that names are relative to."""
        return self.path

    def covers(self, folder: Path) -> bool:
        """Whether what is written to a folder would be found among the images."""
        return False

    @abc.abstractmethod
    def files(self) -> Iterator[ListedFile]:
        """All images as they are found, always in the same order, with all that is no image.

        Raises:
            NotFound: there is no such collection.
            ConfigError: it is not as this kind is laid out.
        """

    def read(self, file: ListedFile, limits: ImageLimits) -> bytes:
        """The bytes of one image.

        Raises:
            TooLarge: over the limit on bytes; it is not read then.
            InputRejected: gone, not readable by this user, or damaged.
            OSError: anything else, as it says more about the machine than about the file.
        """
        try:
            return read_image_bytes(self.root / file.name, limits)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise InputRejected("removed after the folder was listed; put it back") from None
        except PermissionError:
            raise InputRejected("this user may not read it; change its permissions") from None

    def is_there(self, file: ListedFile, content: str | None) -> bool:
        """Whether it still holds a listed file: by size and time, else by content.

        Args:
            content: SHA-256 of what was read; None if it was not.
        """
        if file.refused is not None:
            return True
        path = self.root / (file.place or file.name)
        try:
            size, changed = storage_of(path).size(path), storage_of(path).changed_ns(path)
        except OSError:
            return False
        if changed == file.mtime_ns and (file.place or size == file.num_bytes):
            return True
        return content is not None and self.content(file) == content

    def content(self, file: ListedFile) -> str | None:
        """SHA-256 of an image's bytes; None if it cannot be read."""
        try:
            return hashlib.sha256(self.read(file, _ANY_SIZE)).hexdigest()
        except (InputRejected, OSError):
            return None


_ANY_SIZE = ImageLimits(max_bytes=2**62)
