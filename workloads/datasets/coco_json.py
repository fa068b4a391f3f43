"""Annotation files as COCO writes them: one JSON with all images of a split, in both directions.

Such a file is read once, as a stream; of each image a line of text is kept, which its worker
checks. Boxes are x, y, width and height, continuous and half-open. Outlines are not read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from workloads.datasets.annotation_checks import Box, check_size, checked_box, path_fault, plain_id
from workloads.datasets.base import Item, size_lookup
from workloads.datasets.json_arrays import Entry, read_arrays
from workloads.errors import InputRejected
from workloads.records import GroundTruth, Record

Categories = dict[int, str]  # id to name, ascending ids, which have gaps
Id = int | str

ROUNDING = 0.5
"""A box may reach this far beyond the image, in pixels, and is cut: COCO rounds its numbers."""

CATEGORIES = ("categories",)
ALL = ("images", "annotations", *CATEGORIES)

_KEYS = {
    "images": frozenset(("id", "file_name", "width", "height")),
    "annotations": frozenset(("id", "image_id", "category_id", "bbox", "iscrowd")),
    "categories": frozenset(("id", "name")),
}
_compact = json.JSONEncoder(separators=(",", ":")).encode


class Listing:
    """Contents of a COCO file from one pass: a line of text for each image, and the categories.

    Args:
        path: the file.
        arrays: `ALL`, or `CATEGORIES` if no items are wanted.

    Raises:
        InputRejected: the file is not JSON, lacks an array, or its categories are wrong. Names it.
    """

    def __init__(self, path: Path, arrays: Collection[str] = ALL) -> None:
        self.categories: Categories = {}
        self._images: list[_Image] = []
        self._objects: dict[Id | None, str] = {}  # of each image id, JSON values with commas
        self._files: dict[Id, str] = {}
        self._ambiguous: set[Id] = set()
        add = {
            "images": self._add_image,
            "annotations": self._add_object,
            "categories": self._add_category,
        }
        try:
            for array, entry in read_arrays(path, {name: _KEYS[name] for name in arrays}):
                add[array](entry)
        except InputRejected as error:
            raise InputRejected(f"{path}: {error}") from None
        self.categories = dict(sorted(self.categories.items()))

    def items(self, split: str, root: Path, folder: str) -> list[Item]:
        """One item for each image, in the file's order, then one for each that is not listed.

        Hands out what was gathered, so it is called once.

        Args:
            split: the split that the file describes.
            root: root folder of the data set.
            folder: folder of the images, relative to the root.
        """
        size = size_lookup(root / folder)
        items = [
            Item(
                image_id=image.file if image.fault else _without_suffix(image.file),
                split=split,
                image_path=f"{folder}/{image.file}",
                annotation=f"[{image.size},[{self._take(image.id)}]]",
                num_bytes=0 if image.fault else size(image.file),
                fault=image.fault or self._ambiguity(image.id),
            )
            for image in self._images
        ]
        return items + [_unlisted(split, *entry) for entry in self._objects.items()]

    def _add_image(self, entry: Entry) -> None:
        number, file = _id(entry.get("id")), entry.get("file_name")
        size = _compact([entry.get("width"), entry.get("height")])
        if number is None or not isinstance(file, str):
            file = f"images[{len(self._images)}]"
            fault = f"{file} has no id or no file_name; correct it"
        else:
            fault = path_fault(file)
            if self._files.setdefault(number, file) != file:
                self._ambiguous.add(number)
        self._images.append(_Image(number, file, size, fault))

    def _add_object(self, entry: Entry) -> None:
        values = [entry.get(key) for key in ("id", "category_id", "bbox")]
        text = _compact([*values, entry.get("iscrowd", 0)])
        image = _id(entry.get("image_id"))
        before = self._objects.get(image)
        self._objects[image] = text if before is None else f"{before},{text}"

    def _add_category(self, entry: Entry) -> None:
        number, name = entry.get("id"), entry.get("name")
        if type(number) is not int or not isinstance(name, str) or not name:
            raise InputRejected(f"category {_compact(entry)}: give a whole id and a name")
        if number in self.categories or name in self.categories.values():
            raise InputRejected(f"category {_compact(entry)}: its id or name is another's too")
        self.categories[number] = name

    def _take(self, number: Id | None) -> str:
        return "" if number is None else self._objects.pop(number, "")

    def _ambiguity(self, number: Id | None) -> str:
        if number not in self._ambiguous:
            return ""
        return f"image id {number!r} has several files; its annotations may be another's"


def read_objects(
    text: str, width: int, height: int, categories: Mapping[int, str], *, clip: bool
) -> GroundTruth:
    """The truth in one image's line of text.

    Args:
        text: `Item.annotation` as `Listing` gives it.
        width, height: of the upright image; a stated size must be the same.
        categories: those of the file, ascending; a class index is a position in there.
        clip: cut boxes that reach further than ROUNDING beyond the image.

    Raises:
        InputRejected: another size is stated, or an object has an unknown category, no box, or
            one that is empty or outside the image. Names the annotation.
    """
    stated, given = json.loads(text)
    if stated != [None, None]:
        check_size(tuple(stated), width, height, "its entry in 'images'")
    place = {number: index for index, number in enumerate(categories)}
    objects = [_object(values, place, width, height, clip=clip) for values in given]
    return GroundTruth.from_boxes(
        np.array([entry.box for entry in objects], np.float32),
        np.array([entry.label for entry in objects], np.int32),
        box_crowd=np.array([entry.crowd for entry in objects], np.bool_),
    )


class Document:
    """A file in the making. Ids count from 1; outlines are those of the boxes.

    Args:
        classes: names of the class indices.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories = [{"id": number, "name": n} for number, n in enumerate(classes, start=1)]

    def add(self, record: Record) -> str:
        """Add an image with its objects; returns its file name.

        Raises:
            ValueError: the id is not a plain file name, an object is difficult, or a label has no
                box: the file has no place for these.
        """
        truth, name = record.truth, f"{plain_id(record.image_id)}.jpg"
        if truth.box_difficult.any():
            raise ValueError(f"{record.image_id}: COCO has no difficult objects")
        if set(truth.labels) != set(truth.box_labels.tolist()):
            raise ValueError(f"{record.image_id}: COCO has no labels without boxes")
        size = {"width": record.width, "height": record.height}
        self._images.append({"id": len(self._images) + 1, "file_name": name, **size})
        boxes, labels = truth.boxes_xyxy.tolist(), truth.box_labels.tolist()
        for box, label, crowd in zip(boxes, labels, truth.box_crowd.tolist(), strict=True):
            self._annotations.append(self._annotation(box, label, crowd))
        return name

    def text(self) -> str:
        """The file."""
        arrays = zip(ALL, (self._images, self._annotations, self._categories), strict=True)
        return json.dumps(dict(arrays))

    def _annotation(self, box: list[float], label: int, crowd: bool) -> dict[str, Any]:
        x0, y0, x1, y1 = box
        width, height = x1 - x0, y1 - y0
        return {
            "id": len(self._annotations) + 1,
            "image_id": len(self._images),
            "category_id": label + 1,
            "bbox": [x0, y0, width, height],
            "area": width * height,
            "iscrowd": int(crowd),
            "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        }


class _Image(NamedTuple):
    id: Id | None
    file: str
    size: str  # JSON
    fault: str


class _Object(NamedTuple):
    box: Box
    label: int
    crowd: bool


def _id(value: object) -> Id | None:
    return value if type(value) in (int, str) else None  # type: ignore[return-value]


def _without_suffix(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(""))


def _unlisted(split: str, image: Id | None, objects: str) -> Item:
    first = _compact(json.loads(f"[{objects}]")[0][0])
    where = "no usable image_id" if image is None else f"image_id {image!r}, not in 'images'"
    return Item(
        image_id=f"image_id {image!r}",
        split=split,
        image_path="",
        fault=f"annotation without its image: annotation {first} has {where}; correct or remove it",
    )


def _object(
    values: list[Any], place: Mapping[int, int], width: int, height: int, *, clip: bool
) -> _Object:
    number, category, box, crowd = values
    try:
        if type(category) is not int or category not in place:
            raise InputRejected(f"category_id {_compact(category)} is not in 'categories'")
        if crowd not in (0, 1):
            raise InputRejected(f"iscrowd is {_compact(crowd)} (allowed: 0, 1)")
        return _Object(_box(box, width, height, clip=clip), place[category], crowd == 1)
    except InputRejected as error:
        raise InputRejected(f"annotation {_compact(number)}: {error}") from None


def _box(given: Any, width: int, height: int, *, clip: bool) -> Box:
    if not isinstance(given, list) or len(given) != 4 or not all(map(_is_number, given)):
        raise InputRejected(f"bbox is {_compact(given)}; give four numbers: x, y, width, height")
    x, y, w, h = given
    box = (x, y, x + w, y + h)
    excess = max(-x, -y, box[2] - width, box[3] - height)
    what = f"bbox x={x:g} y={y:g} width={w:g} height={h:g}"
    return checked_box(box, width, height, clip=clip or excess <= ROUNDING, given=what)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
