"""CUB-200-2011 as distributed.

A tree holds `images/<class>/<id>.jpg` and lists that number the images: `images.txt` ("1
001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg"), `image_class_labels.txt` ("1 1"),
`bounding_boxes.txt` ("1 60.0 27.0 325.0 304.0": x, y, width and height, continuous),
`train_test_split.txt` ("1 0", 1 is train). `classes.txt` numbers the classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from workloads.artifacts import write_text
from workloads.datasets.annotation_checks import (
    class_index,
    list_lines,
    naming,
    only_label,
    path_fault,
    plain_id,
    word_id,
)
from workloads.datasets.base import Dataset, DatasetOptions, Item, find_tree
from workloads.datasets.boxes import BadBox, Box, Objects, checked_box, corner
from workloads.datasets.image_files import ImageFiles
from workloads.datasets.pascal_xml import as_text
from workloads.errors import InputRejected
from workloads.records import GroundTruth, Record, Task

IMAGES = "images"
LISTED = "images.txt"
CLASSES = "classes.txt"
LABELS = "image_class_labels.txt"
BOXES = "bounding_boxes.txt"
PARTS = "train_test_split.txt"
SPLITS = {"train": "1", "test": "0"}

Table = dict[str, list[str]]
"""A number to what the lines of a list with that number say, in the order of the list."""


class Cub(Dataset):
    """CUB-200-2011: one of 200 birds in each image, with its box; splits train and test.

    `root` is the tree itself or the folder above it, `<root>/CUB_200_2011`. Ids are file names
    without their ending.

    Raises:
        NotFound: there is no such tree under `root`, or no list of classes.
        InputRejected: the list of classes is empty, or has a number or name twice, or a number
            without a name.
    """

    name = "cub"
    task: ClassVar[Task] = "singlelabel"

    def __init__(self, root: Path, options: DatasetOptions | None = None) -> None:
        super().__init__(find_tree(root, ("CUB_200_2011",), LISTED, self.name), options)
        names = _read_classes(self.root / CLASSES)
        self._numbers, self._classes = tuple(names), tuple(names.values())

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of `classes.txt`, with their numbers: "001.Black_footed_Albatross"."""
        return self._classes

    @property
    def class_keys(self) -> tuple[str, ...]:
        """Numbers of the classes in `classes.txt`."""
        return self._numbers

    def splits(self) -> tuple[str, ...]:
        """Train and test."""
        return tuple(SPLITS)

    def items(self, split: str) -> list[Item]:
        """All images of a split, in the order of `images.txt`, existing or not.

        What cannot be assigned to a split is in train: images without a line in
        `train_test_split.txt`, and lines for images that `images.txt` does not have.

        Raises:
            NotFound: no such split, or a list is missing.
        """
        self.require_split(split)
        tables = {name: _read_table(self.root / name) for name in (LABELS, BOXES, PARTS)}
        return [item for item in self._all_items(tables) if item.split == split]

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: the class is unknown, or the box is not four numbers, empty or outside
                the image.
        """
        label, _, box = item.annotation.partition(", ")
        with naming(LABELS):
            index = class_index(label, self._numbers)
        with naming(BOXES):
            objects = Objects(self.options.box_rules)
            objects.add(index, partial(self._corners, box.split(), width, height))
            return objects.truth()

    @classmethod
    def write(cls, root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
        """Write records as a tree; only the splits train and test. Lists are replaced.

        Lost are masks and whether an object is truncated.

        Raises:
            ValueError: an image has not just one class and one box, its object is difficult, or
                the name of an image or class cannot stand on a list.
        """
        lines: dict[str, list[str]] = {LISTED: [], LABELS: [], BOXES: [], PARTS: []}
        for record in records:
            if record.split not in SPLITS:
                continue
            label, box = only_label(record), _only_box(record)
            file = f"{plain_id(classes[label])}/{word_id(record.image_id)}.jpg"
            (root / IMAGES / file).parent.mkdir(parents=True, exist_ok=True)
            (root / IMAGES / file).write_bytes(record.image)
            said = (file, str(label + 1), box, SPLITS[record.split])
            for name, value in zip(lines, said, strict=True):
                lines[name].append(value)
        for name, values in {CLASSES: list(classes), **lines}.items():
            text = "".join(f"{index} {value}\n" for index, value in enumerate(values, start=1))
            write_text(root / name, text)

    def _all_items(self, tables: Mapping[str, Table]) -> Iterator[Item]:
        images = _read_table(self.root / LISTED)
        files = ImageFiles(self.root, (IMAGES,))
        paths_of_all = [path for paths in images.values() for path in paths]
        ids = iter(distinct_stems(paths_of_all))
        for index, paths in images.items():
            label, box, part = (table.get(index, [""])[0] for table in tables.values())
            fault = _ambiguity(index, paths) or _fault(index, tables)
            for path in paths:
                bad_path = path_fault(path)
                found = None if bad_path else files.find(path)
                yield Item(
                    image_id=next(ids) or f"image {index}",
                    split="test" if part == SPLITS["test"] else "train",
                    image_path=found.path if found else f"{IMAGES}/{path}",
                    annotation=f"{label}, {box}",
                    num_bytes=found.num_bytes if found else 0,
                    fault=bad_path or fault,
                )
        lines = ((index, name) for name, table in tables.items() for index in table)
        unlisted = {index: name for index, name in lines if index not in images}
        yield from (_unlisted(*entry) for entry in unlisted.items())

    def _corners(self, fields: Sequence[str], width: int, height: int) -> Box:
        given = f"box '{' '.join(fields)}'"
        if len(fields) != 4:
            raise BadBox(f"{given}: give four numbers: x, y, width, height")
        x, y, w, h = (corner(field, f"a number of {given}") for field in fields)
        clip = self.options.clip_boxes
        return checked_box((x, y, x + w, y + h), width, height, clip=clip, given=given)


def _read_table(path: Path) -> Table:
    table: Table = {}
    for line in list_lines(path):
        index, *rest = line.split(maxsplit=1)
        table.setdefault(index, []).append("".join(rest))
    return table


def _read_classes(path: Path) -> dict[str, str]:
    table = _read_table(path)
    names = {index: texts[0] for index, texts in table.items()}
    lines = sum(map(len, table.values()))
    if not names or "" in names.values() or len(set(names.values())) != lines:
        raise InputRejected(f"{path}: a number or name is there twice or missing; correct the list")
    return names


def _fault(index: str, tables: Mapping[str, Table]) -> str:
    for name, table in tables.items():
        count = len(table.get(index, ()))
        if count != 1:
            return f"{count} lines for image {index} in {name}; give one"
    part = tables[PARTS][index][0]
    if part not in SPLITS.values():
        return f"{PARTS} has '{part}' for image {index} (allowed: 0, 1); correct it"
    return ""


def _ambiguity(index: str, paths: Sequence[str]) -> str:
    if len(set(paths)) == 1:
        return ""
    return f"image {index} has several files in {LISTED}; its label and box may be another's"


def _unlisted(index: str, name: str) -> Item:
    return Item(
        image_id=f"image {index}",
        split="train",
        image_path="",
        fault=f"annotation without its image: {index} is in {name}, not in {LISTED}; list the "
        "image or remove the line",
    )


def distinct_stems(paths: Sequence[str]) -> list[str]:
    """File names without their ending; whole paths where two files have one name."""
    stems = [_stem(path) for path in paths]
    files: dict[str, set[str]] = {}
    for stem, path in zip(stems, paths, strict=True):
        files.setdefault(stem, set()).add(path)
    return [path if len(files[stem]) > 1 else stem for stem, path in zip(stems, paths, strict=True)]


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _only_box(record: Record) -> str:
    boxes = record.truth.boxes_xyxy.tolist()
    if len(boxes) != 1:
        raise ValueError(f"{record.image_id}: {len(boxes)} boxes, the layout has one per image")
    x0, y0, x1, y1 = boxes[0]
    return " ".join(map(as_text, (x0, y0, x1 - x0, y1 - y0)))
