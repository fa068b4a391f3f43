"""COCO 2014 and 2017, and whatever else comes in their layout.

A tree holds `annotations/instances_<split><year>.json` and images in `<split><year>/` or
`images/<split><year>/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from pydantic import Field

from workloads.artifacts import write_text
from workloads.datasets.annotation_checks import naming
from workloads.datasets.base import Dataset, DatasetOptions, Item, find_tree
from workloads.datasets.coco_json import (
    CATEGORIES,
    Categories,
    Document,
    Listing,
    Named,
    read_objects,
)
from workloads.datasets.remarks import remark
from workloads.errors import InputRejected, NotFound
from workloads.files import is_file, is_folder, matching
from workloads.records import GroundTruth, Record, Task

ANNOTATIONS = "annotations"
WRITTEN_SPLITS = ("train", "val")
ONLY_SPLIT = "train"
ROOT_CATEGORY = (
    "categories that only stand above all others, and that no object is of, were left out"
)

_EXPORTS = (
    ("*/_annotations.coco.json", "*"),  # Roboflow
    ("annotations/instances_default.json", "images/default"),  # CVAT
    ("result.json", "images"),  # Label Studio
)


class CocoOptions(DatasetOptions):
    """Options of the layout of COCO; `*` in a path stands for the split."""

    annotations: str | None = Field(
        default=None,
        description="the JSON file, below the root: 'result.json', '*/_annotations.coco.json'; "
        "without * its split is train. If not given, the official file, or that of an export of "
        "Roboflow, CVAT or Label Studio",
    )
    images: str | None = Field(
        default=None, description="the folder of the images, below the root: 'images', 'images/*'"
    )


class CocoDataset(Dataset):
    """Reader of a COCO tree. A data set in this layout names its year.

    `root` is the tree itself or a folder above it: `<root>/coco` or `<root>/<name>`. An image
    without annotations is a negative of every class.

    Raises:
        NotFound: there is no such tree under `root`.
    """

    task: ClassVar[Task] = "multilabel"
    options_type = CocoOptions
    year: ClassVar[str]

    def __init__(self, root: Path, options: CocoOptions | None = None) -> None:
        options = options or CocoOptions()
        super().__init__(root, options)
        self._pattern, self._images = self._places(root, options)
        if not self.splits():
            raise NotFound(
                f"{self.root}: no {self._pattern.replace('*', '<split>')} there; add one, or give "
                "another with --set ingest.options.annotations=FILE and ingest.options.images"
            )
        self._by_split: dict[str, Named] = {}
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

    @property
    def class_keys(self) -> tuple[str, ...]:
        """Ids of the categories."""
        return tuple(map(str, self._agreed()))

    def splits(self) -> tuple[str, ...]:
        """The splits with a file of instances, ascending."""
        before, star, after = self._pattern.partition("*")
        if not star:
            return (ONLY_SPLIT,) if is_file(self.root / self._pattern) else ()
        found = (
            path.relative_to(self.root).as_posix() for path in matching(self.root, self._pattern)
        )
        splits = (path.removeprefix(before).removesuffix(after) for path in found)
        return tuple(sorted(split for split in splits if split))

    def items(self, split: str) -> list[Item]:
        """All images of a split in the order of its file, existing or not.

        Raises:
            NotFound: no such split; the message names those that exist.
            InputRejected: as `classes` does.
        """
        self.require_split(split)
        listing = Listing(self.root / self._file(split))
        self._by_split[split] = listing.named
        self._agreed()  # before anything is made of the items
        return listing.items(split, self.root, self._image_folders(split, listing.some_files()))

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: as `coco_json.read_objects` does. Names the file too.
        """
        with naming(self._file(item.split)):
            return read_objects(
                item.annotation, width, height, self._agreed(), self.options.box_rules
            )

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
            write_text(root / cls._official().replace("*", split), document.text())

    @classmethod
    def _official(cls) -> str:
        return f"{ANNOTATIONS}/instances_*{cls.year}.json"

    def _file(self, split: str) -> str:
        return self._pattern.replace("*", split)

    def _places(self, root: Path, options: CocoOptions) -> tuple[str, str | None]:
        """Patterns of the JSON files and of the folders of images; None for the official ones."""
        if options.annotations is not None:
            beside = str(PurePosixPath(options.annotations).parent)
            return options.annotations, options.images or beside
        if not any(
            any(matching(root / below, self._official())) for below in ("", "coco", self.name)
        ):
            for file, images in _EXPORTS:
                if any(matching(root, file)):
                    return file, options.images or images
        self.root = find_tree(root, ("coco", self.name), ANNOTATIONS, self.name)
        return self._official(), options.images

    def _image_folders(self, split: str, names: Sequence[str]) -> tuple[str, ...]:
        """The folders of the images of a split: first their own, and then the root.

        Without a folder of its own, as for minival, the split's images are in that of another.
        """
        if self._images is not None:
            own = self._images.replace("*", split)
            return ("" if own == "." else own, "")
        usual = (f"{split}{self.year}", f"images/{split}{self.year}")
        for folder in usual:
            if is_folder(self.root / folder):
                return (folder, "")
        there = [
            path.relative_to(self.root).as_posix()
            for pattern in (f"*{self.year}/", f"images/*{self.year}/", "images/")
            for path in sorted(matching(self.root, pattern))
        ]
        hits = {
            folder: sum(is_file(self.root / folder / name) for name in names) for folder in there
        }
        best = max(hits, key=lambda folder: hits[folder], default=usual[0])
        return (best if hits.get(best) else usual[0], "")

    def _agreed(self) -> Categories:
        if self._categories is None:
            for split in self.splits():
                if split not in self._by_split:
                    self._by_split[split] = Listing(self.root / self._file(split), CATEGORIES).named
            self._categories = self._chosen(self._compared())
        return self._categories

    def _compared(self) -> Categories:
        first = "train" if "train" in self._by_split else min(self._by_split)
        known = self._by_split[first].categories
        for split, named in sorted(self._by_split.items()):
            other = named.categories
            different = sorted(known.keys() ^ other.keys(), key=str) or [
                number for number in known if known[number] != other[number]
            ]
            if different:
                number = different[0]
                raise InputRejected(
                    f"{self.root / self._file(first)} and {self._file(split)} have different "
                    f"categories: {number} is {known.get(number)!r} and {other.get(number)!r}; "
                    "give all splits the same ones"
                )
        return known

    def _chosen(self, known: Categories) -> Categories:
        """The categories that are classes, each with a name of its own."""
        roots = frozenset.intersection(*(named.unused_roots for named in self._by_split.values()))
        chosen = {number: name for number, name in known.items() if number not in roots}
        for number, name in chosen.items():
            if list(chosen.values()).count(name) > 1:
                file = self.root / self._file(min(self._by_split))
                raise InputRejected(
                    f"{file}: category {number} '{name}': its name is another's too; correct it"
                )
        remark(ROOT_CATEGORY, len(roots))
        return chosen


class Coco2014(CocoDataset):
    """COCO 2014: 80 classes, splits train and val."""

    name = "coco2014"
    year = "2014"


class Coco2017(CocoDataset):
    """COCO 2017: the same classes and images, 5,000 of them in val."""

    name = "coco2017"
    year = "2017"
