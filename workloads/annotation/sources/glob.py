"""Files that a pattern matches: `photos/2024-*/**/*.jpg`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from workloads.annotation.listing import ListedFile
from workloads.annotation.sources.base import Source
from workloads.annotation.sources.folder import walk
from workloads.files import there

_WILD = re.compile(r"[*?\[]")


class Glob(Source):
    """The files below the fixed beginning of a pattern that match all of it."""

    kind = "glob"
    summary = "a pattern with *, ?, [abc] or ** (any folders)"

    @classmethod
    def takes(cls, path: Path) -> bool:
        return bool(_WILD.search(str(path))) and not there(path)

    @property
    def root(self) -> Path:
        """The folder before the first part with a wildcard."""
        parts = self.path.parts
        first = next(i for i, part in enumerate(parts) if _WILD.search(part))
        return Path(*parts[:first]) if first else Path()

    def covers(self, folder: Path) -> bool:
        return folder.is_relative_to(self.root)

    def files(self) -> Iterator[ListedFile]:
        root = self.root
        fits = re.compile(_regular("/".join(self.path.parts[len(root.parts) :])))
        return (file for file in walk(root) if fits.fullmatch(file.name))


def _regular(pattern: str) -> str:
    """A pattern as a regular expression; `*` stays within a folder."""
    found = []
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.", pattern, re.DOTALL):
        match token:
            case "**/":
                found.append("(?:.*/)?")
            case "**":
                found.append(".*")
            case "*":
                found.append("[^/]*")
            case "?":
                found.append("[^/]")
            case _ if len(token) > 1:
                found.append(token.replace("[!", "[^", 1).replace("\\", "\\\\"))
            case _:
                found.append(re.escape(token))
    return "".join(found)
