"""The files of images, found by the names that lists and labelling tools write.

The file that a list names comes first. If it is not there: the same name with another ending or
case, and the last parts of a path or an address from another machine. Names are compared as people
see them, and a name that fits several files finds none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from workloads.datasets.base import file_sizes
from workloads.datasets.names import alike
from workloads.datasets.remarks import lenient, remark

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
OTHER_SPELLING = "images were found under another ending or case than the layout's"
ELSEWHERE = "images were found by the last parts of a path or address that is not here"

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|/data/local-files/")


class Found(NamedTuple):
    """A file.

    Attributes:
        path: as `Item.image_path` has it.
        name: the part of it below the folder in which it was looked for.
        num_bytes: its size.
        exact: whether it is the file that was named, and not one that is found by its likeness.
    """

    path: str
    name: str
    num_bytes: int
    exact: bool


class ImageFiles:
    """Files in some folders; each folder is listed once, when it is asked for.

    Args:
        root: the data set's root.
        folders: places that names are relative to, below the root ("" is the root) or absolute,
            in the order of preference.
    """

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        self._folders = tuple(folders)
        self._listed = cache(lambda folder: file_sizes(root / folder))
        self._alike = cache(self._by_alike_name)
        self._stems = cache(self._by_stem)

    def find(self, name: str) -> Found | None:
        """The file of a name; None if there is none, or several that fit equally well.

        Args:
            name: a path relative to the folders, or one from elsewhere that ends like it.

        Raises:
            InputRejected: the reading is strict, and it is a path from elsewhere.
        """
        tails = (name,) if _is_plain(name) else tuple(_tails(name))
        if tails[:1] == (name,):
            for folder in self._folders:
                if found := self._exact(folder, name):
                    return found
        return self._otherwise(name, tails)

    def find_id(self, image_id: str, suffix: str) -> Found | None:
        """The file `<id><suffix>`, or the one with another ending; None as in `find`."""
        return self.find(f"{image_id}{suffix}")

    def count_beside(self, path: str) -> int:
        """Images in the folder of a path that is relative to the root or absolute."""
        return sum(1 for name in self._listed(_split(path)[0]) if split_suffix(name)[1])

    def _otherwise(self, name: str, tails: Sequence[str]) -> Found | None:
        for look in (self._exact, self._in_other_case, self._with_other_suffix):
            for tail in tails:
                for folder in self._folders:
                    if found := look(folder, tail):
                        if tail != name:
                            lenient(ELSEWHERE, f"'{name}': no such file; correct the list")
                        elif not found.exact:
                            remark(OTHER_SPELLING)
                        return found._replace(exact=found.exact and tail == name)
        return None

    def _exact(self, folder: str, tail: str) -> Found | None:
        below, name = _split(tail)
        size = self._listed(_joined(folder, below)).get(name)
        return None if size is None else Found(_joined(folder, tail), tail, size, exact=True)

    def _in_other_case(self, folder: str, tail: str) -> Found | None:
        below, name = _split(tail)
        names = self._alike(_joined(folder, below))
        return self._only(folder, below, names.get(alike(name), ()))

    def _with_other_suffix(self, folder: str, tail: str) -> Found | None:
        below, name = _split(tail)
        stem, suffix = split_suffix(name)
        stems = self._stems(_joined(folder, below)) if suffix else {}
        return self._only(folder, below, stems.get(alike(stem), ()))

    def _only(self, folder: str, below: str, names: Sequence[str]) -> Found | None:
        if len(names) != 1:
            return None
        size = self._listed(_joined(folder, below))[names[0]]
        tail = _joined(below, names[0])
        return Found(_joined(folder, tail), tail, size, exact=False)

    def _by_alike_name(self, folder: str) -> dict[str, list[str]]:
        return _grouped((alike(name), name) for name in self._listed(folder))

    def _by_stem(self, folder: str) -> dict[str, list[str]]:
        pairs = ((split_suffix(name), name) for name in self._listed(folder))
        return _grouped((alike(stem), name) for (stem, suffix), name in pairs if suffix)


def split_suffix(name: str) -> tuple[str, str]:
    """A name without and with only the ending of an image file; ("a.b", "") of a name without."""
    stem, dot, suffix = name.rpartition(".")
    if stem and f"{dot}{suffix}".lower() in SUFFIXES:
        return stem, f"{dot}{suffix}"
    return name, ""


def image_ids(paths: Sequence[str]) -> list[str]:
    """Paths without the endings of image files; whole ones where two files differ in it only."""
    stems = [split_suffix(path)[0] for path in paths]
    several: dict[str, set[str]] = {}
    for stem, path in zip(stems, paths, strict=True):
        several.setdefault(stem, set()).add(path)
    return [
        path if len(several[stem]) > 1 else stem for stem, path in zip(stems, paths, strict=True)
    ]


def plain_path(name: str) -> str:
    """A path with forward slashes of what may be a Windows path or an address."""
    if _ADDRESS.match(name):
        address = urlsplit(name)
        name = (parse_qs(address.query).get("d") or [unquote(address.path)])[0]
    return name.replace("\\", "/")


def _is_plain(name: str) -> bool:
    return "/" not in name and "\\" not in name


def _tails(name: str) -> Iterator[str]:
    """The path and its ends, the longest first, without what leads out of a folder."""
    parts = [part for part in plain_path(name).split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def _split(tail: str) -> tuple[str, str]:
    below, _, name = tail.rpartition("/")
    return below, name


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name


def _grouped(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups
