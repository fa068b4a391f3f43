"""A text file with the path of an image in each line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workloads.annotation.listing import ListedFile
from workloads.annotation.sources.base import Source
from workloads.errors import NotFound
from workloads.files import is_file
from workloads.storage.storage import storage_of


class FileList(Source):
    """Paths relative to the list's own folder; empty lines and lines with # are left out."""

    kind = "list"
    summary = "a .txt or .lst file with a path, relative to it, in each line"

    @classmethod
    def takes(cls, path: Path) -> bool:
        return path.suffix in (".txt", ".lst")

    @property
    def root(self) -> Path:
        return self.path.parent

    def files(self) -> Iterator[ListedFile]:
        if not is_file(self.path):
            raise NotFound(f"{self.path}: no such list; give a text file with a path in each line")
        return self._listed()

    def _listed(self) -> Iterator[ListedFile]:
        with storage_of(self.path).open(self.path) as lines:
            for number, line in enumerate(lines, start=1):
                text = line.decode("utf-8", "backslashreplace").strip()
                if text and not text.startswith("#"):
                    yield self._file(text, number)

    def _file(self, name: str, number: int) -> ListedFile:
        relative = name.removeprefix("./")
        if relative.startswith("/") or ".." in relative.split("/"):
            reason = (
                f"line {number} leads out of the folder of the list; write paths relative to it"
            )
            return ListedFile(relative, 0, 0, reason)
        path = self.root / relative
        try:
            storage = storage_of(path)
            return ListedFile(relative, storage.size(path), storage.changed_ns(path))
        except (OSError, ValueError):
            return ListedFile(relative, 0, 0, f"line {number} names no file; mend the line")
