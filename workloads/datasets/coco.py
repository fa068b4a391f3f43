"""COCO 2014 and 2017, and whatever else comes in their layout.

A tree holds `annotations/instances_<split><year>.json` and images in `<split><year>/` or
`images/<split><year>/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from workloads.artifacts import write_text
from workloads.datasets.base import Dataset, DatasetOptions, Item, find_tree
from workloads.datasets.coco_json import CATEGORIES, Categories, Document, Listing, read_objects
from workloads.errors import InputRejected, NotFound
from workloads.records import GroundTruth, Record, Task

ANNOTATIONS = "annotations"
WRITTEN_SPLITS = ("train", "val")


class CocoDataset(Dataset):
    """Reader of a COCO tree. A data set in this layout names its year.

    `root` is the tree itself or a folder above it: `<root>/coco` or `<root>/<name>`. An image
    without annotations is a negative of every class.

    Raises:
        NotFound: there is no such tree under `root`.
    """

    task: ClassVar[Task] = "multilabel"
    year: ClassVar[str]

    def __init__(self, root: Path, options: DatasetOptions | None = None) -> None:
        super().__init__(root, options)
        self.root = find_tree(root, ("coco", self.name), ANNOTATIONS, self.name)
        if not self.splits():
            raise NotFound(f"{self.root}: no {self._file('<split>')} there; add one")
        self._by_split: dict[str, Categories] = {}
        self._categories: Categories | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the categories in order of their ids; a class index is a position in here.

        All splits must agree. Where a split was not listed before, that costs a pass over its
        file; then the instance knows the names, and workers get them with it.

        Raises:
            InputRejected: a file cannot be read, or two have different categories. Names them.
        """
        return tuple(self._agreed().values())

    def splits(self) -> tuple[str, ...]:
        """The splits with a file of instances of the year, ascending."""
        before, after = self._file("*").split("*")
        found = (path.relative_to(self.root).as_posix() for path in self.root.glob(self._file("*")))
        splits = (path.removeprefix(before).removesuffix(after) for path in found)
        return tuple(sorted(split for split in splits if split))

    def items(self, split: str) -> list[Item]:
        """All images of a split in the order of its file, existing or not, in one pass over it.

        Raises:
            NotFound: no such split; the message names those that exist.
            InputRejected: as `classes` does.
        """
        self.require_split(split)
        listing = Listing(self.root / self._file(split))
        self._by_split[split] = listing.categories
        self._agreed()  # before anything is made of the items
        return listing.items(split, self.root, self._image_folder(split))

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: as `coco_json.read_objects` does. Names the file too.
        """
        clip = self.options.clip_boxes
        try:
            return read_objects(item.annotation, width, height, self._agreed(), clip=clip)
        except InputRejected as error:
            raise type(error)(f"{self._file(item.split)}: {error}") from None

    @classmethod
    def write(cls, root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
        """Write records as a tree; only the splits train and val, which are replaced.

        What COCO has no place for: whether an object is truncated, which is lost, and difficult
        objects.

        Raises:
            ValueError: as `coco_json.Document.add` does.
        """
        documents: dict[str, Document] = {}
        for record in records:
            if record.split not in WRITTEN_SPLITS:
                continue
            name = documents.setdefault(record.split, Document(classes)).add(record)
            folder = root / f"{record.split}{cls.year}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(record.image)
        for split, document in documents.items():
            write_text(root / cls._file(split), document.text())

    @classmethod
    def _file(cls, split: str) -> str:
        return f"{ANNOTATIONS}/instances_{split}{cls.year}.json"

    def _image_folder(self, split: str) -> str:
        name = f"{split}{self.year}"
        below = f"images/{name}"
        return below if (self.root / below).is_dir() and not (self.root / name).is_dir() else name

    def _agreed(self) -> Categories:
        if self._categories is None:
            for split in self.splits():
                if split not in self._by_split:
                    listing = Listing(self.root / self._file(split), CATEGORIES)
                    self._by_split[split] = listing.categories
            self._categories = self._compared(self._by_split)
        return self._categories

    def _compared(self, by_split: Mapping[str, Categories]) -> Categories:
        first = "train" if "train" in by_split else min(by_split)
        known = by_split[first]
        for split, other in sorted(by_split.items()):
            different = sorted(known.items() ^ other.items())
            if different:
                number = different[0][0]
                raise InputRejected(
                    f"{self.root / self._file(first)} and {self._file(split)} have different "
                    f"categories: {number} is {known.get(number)!r} and {other.get(number)!r}; "
                    "give all splits the same ones"
                )
        return known


class Coco2014(CocoDataset):
    """COCO 2014: 80 classes, splits train and val."""

    name = "coco2014"
    year = "2014"


class Coco2017(CocoDataset):
    """COCO 2017: the same classes and images, 5,000 of them in val."""

    name = "coco2017"
    year = "2017"
