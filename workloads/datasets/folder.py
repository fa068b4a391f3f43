"""A folder for each class, as people sort their photographs.

Below `train/`, `val/` and `test/` (or `valid`, `validation`, `training`, `testing`), or right below
the root, and then the splits are drawn. Sub-folders of a class belong to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from workloads.datasets.annotation_checks import only_label, plain_id
from workloads.datasets.boxes_file import write_boxes
from workloads.datasets.drawn_splits import split_called
from workloads.datasets.names import natural_key, shown
from workloads.datasets.own_data import (
    BOXES,
    SUFFIXES,
    Entry,
    Found,
    OwnData,
    OwnOptions,
    write_classes,
)
from workloads.errors import InputRejected, NotFound
from workloads.records import Record, Task

_NOT_CLASSES = ("__MACOSX", "@eaDir")  # what archives and file servers leave behind


class FolderOptions(OwnOptions):
    """Options of a folder for each class."""

    splits: Literal["auto", "folders", "drawn"] = Field(
        default="auto",
        description="the folders below the root are splits, or classes from which splits are "
        "drawn; auto: splits if all are called so",
    )


class Folder(OwnData):
    """Your own images, a folder for each class; below train/, val/ and test/ or without splits."""

    name = "folder"
    task: ClassVar[Task] = "singlelabel"
    options_type: ClassVar[type[FolderOptions]] = FolderOptions
    options: FolderOptions

    @classmethod
    def write(cls, root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
        """Write records as folders of their splits and classes, and their boxes in one file.

        Lost are masks and whether an object is truncated.

        Raises:
            ValueError: an image has not just one class, an object is difficult, or the name of
                an image or class cannot be that of a file.
        """
        write_classes(root, classes)
        write_boxes(root / BOXES, classes, _written(root, classes, records))

    def _find(self) -> Found:
        if not self.root.is_dir():
            raise NotFound(f"{self.root}: no such folder; give one with a folder for each class")
        entries = [e for split, folder in self._split_folders() for e in _entries(folder, split)]
        if not any(e.labels for e in entries):
            why = next((f": {e.fault}" for e in entries if e.fault), "")
            raise NotFound(
                f"{self.root}: no images in folders of classes{why}; give a folder with one for "
                "each class, or with train/, val/ and test/ that have them"
            )
        classes = self._ordered(e.labels[0] for e in entries if e.labels)
        return Found([_below(self.root, e) for e in entries], classes, self.task)

    def _split_folders(self) -> list[tuple[str, Path]]:
        """Split and its folder; "" for the root itself where splits are to be drawn."""
        listed = _listed(self.root)
        if isinstance(listed, str):
            raise NotFound(f"{self.root}: {listed}")
        names = [path.name for path, _ in listed if _is_folder(path)]
        of_splits = [name for name in names if split_called(name)]
        how = self.options.splits
        if how == "auto" and of_splits and len(of_splits) < len(names):
            other = next(name for name in names if name not in of_splits)
            raise InputRejected(
                f"{self.root}: '{of_splits[0]}' is called as a split, '{other}' beside it is not; "
                "move one, or say ingest.options.splits=folders (others are not read) or drawn"
            )
        if how == "drawn" or not of_splits:
            return [("", self.root)]
        found: dict[str, str] = {}
        for name in of_splits:
            other = found.setdefault(str(split_called(name)), name)
            if other != name:
                raise InputRejected(
                    f"{self.root}: '{other}' and '{name}' are one split; put them together"
                )
        return [(split, self.root / name) for split, name in found.items()]


def _is_folder(path: Path) -> bool:
    return not path.name.startswith(".") and path.name not in _NOT_CLASSES and path.is_dir()


def _entries(folder: Path, split: str) -> Iterator[Entry]:
    """The images of a split, class by class; their paths are whole."""
    listed = _listed(folder)
    if isinstance(listed, str):
        yield Entry(f"{folder.name}/", str(folder), split=split, fault=listed)
        return
    for path, size in listed:
        if not path.is_dir() and path.suffix.lower() in SUFFIXES:
            yield Entry(
                path.name, str(path), split=split, num_bytes=size,
                fault="not in the folder of a class; move it into one",
            )  # fmt: skip
        elif _is_folder(path):
            yield from _of_class(path, split)


def _of_class(folder: Path, split: str) -> Iterator[Entry]:
    label, count = shown(folder.name), 0
    seen = set()
    below = [folder]
    while below:
        place = below.pop()
        own = os.path.realpath(place)
        if own in seen:
            continue  # links in a circle
        seen.add(own)
        listed = _listed(place)
        name = place.relative_to(folder.parent).as_posix()
        if isinstance(listed, str):
            count += 1
            yield Entry(_text(f"{name}/"), str(place), split=split, fault=listed)
            continue
        below += [path for path, _ in reversed(listed) if _is_folder(path)]
        for path, size in listed:
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                if path.is_dir():
                    continue
                count += 1
                yield _image(path, f"{name}/{path.name}", label, split, size)
    if not count:
        fault = "the folder of this class has no images; add some or remove it"
        yield Entry(f"{label}/", str(folder), split=split, fault=fault)


def _image(path: Path, image_id: str, label: str, split: str, size: int) -> Entry:
    text = _text(image_id)
    fault = "" if text == image_id else "its name is not UTF-8; rename it"
    return Entry(text, _text(str(path)), (label,), split, size, fault)


def _listed(folder: Path) -> list[tuple[Path, int]] | str:
    """Paths in natural order with their bytes, or why the folder cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            found = [(folder / entry.name, _bytes(entry)) for entry in entries]
    except PermissionError:
        return "this user may not list the folder; change its permissions"
    return sorted(found, key=lambda pair: natural_key(pair[0].name))


def _bytes(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a link to nothing, which is found to be so when it is read
        return 0


def _text(name: str) -> str:
    """A name that can be written down: bytes that are not UTF-8 become `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _below(root: Path, entry: Entry) -> Entry:
    prefix = _text(str(root)).rstrip("/") + "/"
    return replace(entry, image_path=entry.image_path.removeprefix(prefix))


def _written(
    root: Path, classes: Sequence[str], records: Iterable[Record]
) -> Iterator[tuple[str, Record]]:
    for record in records:
        name = f"{plain_id(record.image_id)}.jpg"
        file = f"{record.split}/{plain_id(classes[only_label(record)])}/{name}"
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(record.image)
        yield file, record
