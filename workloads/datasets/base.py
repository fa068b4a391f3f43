"""The contract of a data set: read a layout as it is distributed."""

from __future__ import annotations

import abc
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from workloads.datasets.boxes import BadBoxes, BoxRules
from workloads.errors import NotFound, unknown_name
from workloads.files import listing, read_bytes, there
from workloads.images.decode import ImageLimits, read_image_bytes
from workloads.options import Options
from workloads.records import GroundTruth, Record, Task
from workloads.storage.addresses import below, is_address

# The path names no file: a fault of the list. Everything else is one of the machine.
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


class DatasetOptions(Options):
    """Options of all data sets; a layout may add its own."""

    clip_boxes: bool = Field(
        default=False,
        description="cut boxes that reach beyond the image instead of leaving them out",
    )
    bad_boxes: BadBoxes | None = Field(
        default=None,
        description="whether a box that is inverted, empty, no numbers or outside its image costs "
        "itself (drop) or the image (refuse); null: drop, under --strict refuse",
    )
    boxes_frame: Literal["stored", "upright"] = Field(
        default="stored",
        description="image in which boxes lie if its EXIF orientation is not 1: as stored, which "
        "the tools of these layouts read, or upright, as browsers show it",
    )
    scale_boxes: bool = Field(
        default=False,
        description="scale boxes if the size that their file states has the shape of the image "
        "and another scale, instead of quarantining it",
    )

    @property
    def box_rules(self) -> BoxRules:
        """The rules for boxes that cannot be used as they stand."""
        return BoxRules(self.clip_boxes, self.bad_boxes)


@dataclass(frozen=True, slots=True)
class Item:
    """One listed image: where it is, not what is in it. Plain strings: millions are shipped.

    Attributes:
        image_id: unique in its split.
        image_path: the file, relative to the data set's root.
        annotation: input of `Dataset.annotation`: the path of the image's own file, relative
            to the root, or what a list of all images says of this one.
        num_bytes: size of the image's file; 0 if there is none.
        fault: why it cannot be used, if the listing shows that already.
        blacklisted: whether a list says that localization is not judged on it.
        truth_digest: of the image's own files of truth, if it has any; changed truth shows in it.
    """

    image_id: str
    split: str
    image_path: str
    annotation: str = ""
    num_bytes: int = 0
    fault: str = ""
    blacklisted: bool = False
    truth_digest: str = ""


class Dataset(abc.ABC):
    """A data set on disk. Listing is cheap; `annotation` reads one image's truth.

    Instances are small and picklable: workers read items on their own.
    """

    name: ClassVar[str]
    task: ClassVar[Task]
    options_type: ClassVar[type[DatasetOptions]] = DatasetOptions
    class_names: ClassVar[tuple[str, ...]] = ()  # if the layout does not tell them itself
    has_difficult: ClassVar[bool] = False  # whether it can mark objects as difficult

    def __init__(self, root: Path, options: DatasetOptions | None = None) -> None:
        self.root = root
        self.options = options or self.options_type()

    @property
    @abc.abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names, each once; a class index is a position in here."""

    @property
    def class_keys(self) -> tuple[str, ...]:
        """Names or numbers by which the files mean the classes, in the order of `classes`."""
        return self.classes

    @abc.abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits found on disk."""

    @abc.abstractmethod
    def items(self, split: str) -> list[Item]:
        """All images listed for a split, in a fixed order, existing or not.

        An annotation whose image is not listed is an item with a `fault`.

        Raises:
            NotFound: no such split; the message names those that exist.
        """

    @abc.abstractmethod
    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Called with the size as stored if boxes lie in that frame: `frames.read_truth`.

        Raises:
            InputRejected: the annotation is missing, malformed, names an unknown class, or its
                boxes cannot be used.
        """

    def found_task(self) -> Task:
        """Whether an image has one label or many; a layout that holds both says what it found."""
        return self.task

    def read_image(self, item: Item, limits: ImageLimits) -> bytes:
        """The bytes of one image as they are stored.

        Raises:
            InputRejected: over the limit on bytes.
            OSError: there is no such file, or it cannot be read.
        """
        return read_image_bytes(below(self.root, item.image_path), limits)

    @classmethod
    @abc.abstractmethod
    def write(cls, root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
        """Write records in this layout, for the embedded data and for tests.

        Reading them back gives the same pixels, labels and boxes. Records come one at a time,
        so they may be made on the fly; splits that the layout does not have are left out.

        Args:
            root: the folder to fill.
            classes: names of the class indices.
            records: images with their truth; JPEG files with plain names as ids.
        """

    def require_split(self, split: str) -> None:
        """Raise NotFound unless the split exists; the message names those that do."""
        if split not in self.splits():
            raise NotFound(f"{self.root}: {unknown_name('split', split, self.splits())}")


def find_tree(root: Path, below: Iterable[str], marker: str, what: str) -> Path:
    """The folder that holds a layout: `root` itself or one of the places below it.

    Args:
        below: relative places to try after `root`.
        marker: a file or folder that only the right place holds.
        what: the layout, for the message.

    Raises:
        NotFound: no place holds it; the message says what is looked for.
    """
    for place in (root, *(root / name for name in below)):
        if there(place / marker):
            return place
    raise NotFound(f"{root}: no {what} there; give the folder that holds {marker}")


def file_digest(*paths: Path) -> str:
    """Hexadecimal digest of the contents of small files; empty if none of them is there."""
    found = hashlib.blake2b(digest_size=16)
    there = False
    for path in paths:
        try:
            data = read_bytes(path)
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            data = b""
        else:
            there = True
        found.update(f"{len(data)}:".encode() + data)
    return found.hexdigest() if there else ""


def file_sizes(folder: Path) -> dict[str, int]:
    """File name to bytes. One listing instead of a stat per image: lists are long."""
    if is_address(folder):
        return {found.path.name: found.num_bytes for found in listing(folder, deep=False)}
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        return {}


def size_lookup(root: Path) -> Callable[[str], int]:
    """Relative path to bytes, 0 if there is no such file; lists each folder once."""
    listed = cache(lambda folder: file_sizes(root / folder))

    def size(path: str) -> int:
        folder, _, name = path.rpartition("/")
        return listed(folder).get(name, 0)

    return size
