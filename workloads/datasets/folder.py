"""A folder for each class, as people sort their photographs.

Below `train/`, `val/` and `test/` (or `valid`, `validation`, `training`, `testing`), or right below
the root, and then the splits are drawn. Sub-folders of a class belong to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

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
from workloads.files import entries, is_folder, listing
from workloads.records import Record, Task
from workloads.storage.addresses import is_address

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
        if not is_folder(self.root):
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
        names = [found.path.name for found in listed if found.may_be_class()]
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


class _Listed(NamedTuple):
    """A file or folder in a folder; of folders the bytes say nothing."""

    path: Path
    num_bytes: int
    is_folder: bool

    def is_image(self) -> bool:
        return not self.is_folder and self.path.suffix.lower() in SUFFIXES

    def may_be_class(self) -> bool:
        name = self.path.name
        return self.is_folder and not name.startswith(".") and name not in _NOT_CLASSES


def _entries(folder: Path, split: str) -> Iterator[Entry]:
    """The images of a split, class by class; their paths are whole."""
    listed = _listed(folder)
    if isinstance(listed, str):
        yield Entry(f"{folder.name}/", str(folder), split=split, fault=listed)
        return
    for found in listed:
        if found.is_image():
            yield Entry(
                found.path.name, str(found.path), split=split, num_bytes=found.num_bytes,
                fault="not in the folder of a class; move it into one",
            )  # fmt: skip
        elif found.may_be_class():
            yield from _of_class(found.path, split)


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
        below += [found.path for found in reversed(listed) if found.may_be_class()]
        for found in listed:
            path = found.path
            if found.is_image() and not path.name.startswith("."):
                count += 1
                yield _image(path, f"{name}/{path.name}", label, split, found.num_bytes)
    if not count:
        fault = "the folder of this class has no images; add some or remove it"
        yield Entry(f"{label}/", str(folder), split=split, fault=fault)


def _image(path: Path, image_id: str, label: str, split: str, size: int) -> Entry:
    text = _text(image_id)
    fault = "" if text == image_id else "its name is not UTF-8; rename it"
    return Entry(text, _text(str(path)), (label,), split, size, fault)


def _listed(folder: Path) -> list[_Listed] | str:
    """Entries of a folder, in natural order, or why it cannot be listed."""
    try:
        found = _in_bucket(folder) if is_address(folder) else _on_disk(folder)
    except PermissionError:
        return "this user may not list the folder; change its permissions"
    return sorted(found, key=lambda one: natural_key(one.path.name))


def _on_disk(folder: Path) -> list[_Listed]:
    with os.scandir(folder) as found:
        return [_Listed(Path(one), _bytes(one), Path(one).is_dir()) for one in found]


def _in_bucket(folder: Path) -> list[_Listed]:
    files = {one.path: one.num_bytes for one in listing(folder, deep=False)}
    return [_Listed(path, files.get(path, 0), path not in files) for path in entries(folder)]


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
