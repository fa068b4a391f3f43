"""Annotation files as COCO writes them: one JSON with all images of a split, in both directions.

Such a file is read once, as a stream; of each image a line of text is kept, which its worker
checks. Boxes are x, y, width and height, continuous and half-open. Outlines are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from workloads.datasets.annotation_checks import check_size, naming, path_fault, plain_id
from workloads.datasets.base import Item
from workloads.datasets.boxes import (
    FROM_OUTLINE,
    BadBox,
    Box,
    BoxRules,
    Objects,
    checked_box,
    corner,
)
from workloads.datasets.image_files import Found, ImageFiles, image_ids, plain_path
from workloads.datasets.json_arrays import Entry, NotJson, read_arrays
from workloads.datasets.remarks import lenient
from workloads.datasets.values import TEXT_NUMBER, odd_flag
from workloads.errors import InputRejected
from workloads.records import GroundTruth, Record

Id = int | str
Categories = dict[Id, str]  # id to name, ascending ids, which have gaps

MIXED_IDS = "files whose ids are numbers in one place and text in another were matched by value"
CONSTANTS = "files with NaN or Infinity, which JSON does not have, were read with null instead"

ROUNDING = 0.5
"""A box may reach this far beyond the image, in pixels, and is cut: COCO rounds its numbers."""

CATEGORIES = ("categories",)
ALL = ("images", "annotations", *CATEGORIES)

_KEYS = {
    "images": frozenset(("id", "file_name", "coco_url", "width", "height")),
    "annotations": frozenset(("id", "image_id", "category_id", "bbox", "iscrowd", "segmentation")),
    "categories": frozenset(("id", "name", "supercategory")),
}
_NUMBERS = "give four numbers: x, y, width, height"
_OUTLINE = "segmentation"
_USE = frozenset(("category_id",))
_WHOLE = re.compile("[0-9]{1,18}")
_compact = json.JSONEncoder(separators=(",", ":")).encode


class Named(NamedTuple):
    """The categories of a file.

    Attributes:
        categories: all of them.
        unused_roots: those that only stand above others, and that no object is of.
    """

    categories: Categories
    unused_roots: frozenset[Id]


class Listing:
    """Contents of a COCO file: a line of text for each image, and the categories.

    One pass, and another one if some boxes are missing that outlines can give, or if the file has
    words that JSON has not.

    Args:
        path: the file.
        arrays: `ALL`, or `CATEGORIES` if no items are wanted.

    Attributes:
        named: its categories.

    Raises:
        InputRejected: the file is not JSON, lacks an array, or its categories are wrong. Names it.
    """

    def __init__(self, path: Path, arrays: Collection[str] = ALL) -> None:
        self._path = path
        try:
            self._gather(arrays)
        except InputRejected as error:
            raise InputRejected(f"{path}: {error}") from None
        roots = _roots(self._categories)
        used = _used_categories(path) if roots and "annotations" not in arrays else self._used
        ordered = sorted(self._categories.items(), key=_in_order)
        categories = {number: name for number, (name, _) in ordered}
        self.named = Named(categories, frozenset(roots - used))

    def some_files(self, count: int = 100) -> list[str]:
        """Names of the first images."""
        return [image.name for image in self._images[:count] if not image.fault]

    def items(self, split: str, root: Path, folders: Sequence[str]) -> list[Item]:
        """One item for each image, in the file's order, then one for each that is not listed.

        Hands out what was gathered, so it is called once.

        Args:
            split: the split that the file describes.
            root: root folder of the data set.
            folders: folders of the images, relative to the root, the usual one first.
        """
        files = ImageFiles(root, folders)
        found = [None if image.fault else files.find(image.file) for image in self._images]
        strangers = self._strangers()
        shared = _shared_files(self._images, found)
        names = [
            place.path.removeprefix(f"{folders[0]}/")
            if place and (place.exact or place.path not in shared)
            else image.name
            for image, place in zip(self._images, found, strict=True)
        ]
        items = [
            Item(
                image_id=image.file if image.fault else image_id,
                split=split,
                image_path=place.path if place else f"{folders[0]}/{name}",
                annotation=f"[{image.size},[{self._take(image.id)}]]",
                num_bytes=place.num_bytes if place else 0,
                fault=image.fault
                or _fault_of_path(image, place, shared)
                or self._ambiguity(image.id)
                or strangers,
            )
            for image, place, name, image_id in zip(
                self._images, found, names, image_ids(names), strict=True
            )
        ]
        return items + [_unlisted(split, *entry) for entry in self._objects.items()]

    def _gather(self, arrays: Collection[str]) -> None:
        """Read the file, again if it needs more than its layout has."""
        keys = {name: _KEYS[name] for name in arrays}
        if "annotations" in keys:
            keys["annotations"] -= {_OUTLINE}
        self._read(keys)
        if self._without_box and "annotations" in keys:
            keys["annotations"] |= {_OUTLINE}
            self._read(keys)
        if len(self._kinds["image"]) > 1 or len(self._kinds["category"]) > 1:
            lenient(MIXED_IDS, "ids are numbers in one place and text in another; write numbers")

    def _read(self, keys: Mapping[str, frozenset[str]]) -> None:
        try:
            self._read_once(read_arrays(self._path, keys, _OUTLINE))
        except NotJson as error:
            try:
                self._read_once(read_arrays(self._path, keys, _OUTLINE, constants=True))
            except InputRejected:
                raise error from None
            lenient(CONSTANTS, error)

    def _read_once(self, entries: Iterable[tuple[str, Entry]]) -> None:
        self._categories: dict[Id, tuple[str, object]] = {}  # name and what stands above it
        self._used: set[Id | None] = set()
        self._images: list[_Image] = []
        self._objects: dict[Id | None, str] = {}  # of each image id, JSON values with commas
        self._files: dict[Id, str] = {}
        self._ambiguous: set[Id] = set()
        self._kinds: dict[str, set[type]] = {"image": set(), "category": set()}
        self._without_box = False
        add = {
            "images": self._add_image,
            "annotations": self._add_object,
            "categories": self._add_category,
        }
        for array, entry in entries:
            add[array](entry)

    def _add_image(self, entry: Entry) -> None:
        number, file = self._id("image", entry.get("id")), entry.get("file_name")
        file = file if isinstance(file, str) else entry.get("coco_url")
        size = _compact([entry.get("width"), entry.get("height")])
        fault = ""
        if number is None or not isinstance(file, str):
            file = f"images[{len(self._images)}]"
            fault = f"{file} has no id or no file_name; correct it"
        elif self._files.setdefault(number, file) != file:
            self._ambiguous.add(number)
        self._images.append(_Image(number, file, size, fault))

    def _add_object(self, entry: Entry) -> None:
        box, outline = entry.get("bbox"), entry.get(_OUTLINE)
        missing = box is None or box == []
        self._without_box |= missing
        from_outline = missing and isinstance(outline, list) and bool(outline)
        category = self._id("category", entry.get("category_id"))
        self._used.add(category)
        values = [
            entry.get("id"),
            entry.get("category_id") if category is None else category,
            outline if from_outline else box,
            entry.get("iscrowd", 0),
            *([1] if from_outline else []),
        ]
        text = _compact(values)
        image = self._id("image", entry.get("image_id"))
        before = self._objects.get(image)
        self._objects[image] = text if before is None else f"{before},{text}"

    def _add_category(self, entry: Entry) -> None:
        number, name = self._id("category", entry.get("id")), entry.get("name")
        if number is None or not isinstance(name, str) or not name:
            raise InputRejected(f"category {_compact(entry)}: give an id and a name")
        if number in self._categories:
            raise InputRejected(f"category {_compact(entry)}: its id is another's too")
        self._categories[number] = (name, entry.get("supercategory"))

    def _id(self, kind: str, value: object) -> Id | None:
        found = _id(value)
        if found is not None:
            self._kinds[kind].add(str if isinstance(value, str) else int)
        return found

    def _take(self, number: Id | None) -> str:
        return "" if number is None else self._objects.pop(number, "")

    def _strangers(self) -> str:
        """Reason why no image can be used: all annotations are of others."""
        known = {image.id for image in self._images}
        if not self._objects or not known.isdisjoint(self._objects.keys() - {None}):
            return ""
        some = next(iter(self._objects))
        return (
            f"no annotation's image_id is in 'images', {some!r} for one: nothing says what is in "
            "the images; correct the ids"
        )

    def _ambiguity(self, number: Id | None) -> str:
        if number not in self._ambiguous:
            return ""
        return f"image id {number!r} has several files; its annotations may be another's"


def read_objects(
    text: str, width: int, height: int, categories: Mapping[Id, str], rules: BoxRules
) -> GroundTruth:
    """The truth in one image's line of text.

    Args:
        text: `Item.annotation` as `Listing` gives it.
        width, height: of the image; a stated size must be the same.
        categories: those of the file, ascending; a class index is a position in there.
        rules: what becomes of bad boxes; up to ROUNDING beyond the image they are always cut.

    Raises:
        InputRejected: another size is stated, an object has an unknown category, or bad boxes
            cost the image. Names the annotation.
    """
    stated, given = json.loads(text)
    if stated != [None, None]:
        check_size(tuple(stated), width, height, "its entry in 'images'")
    place = {number: index for index, number in enumerate(categories)}
    objects = Objects(rules)
    for number, category, box, crowd, *outlined in given:
        with naming(f"annotation {_compact(number)}"):
            if type(category) not in (int, str) or category not in place:
                raise InputRejected(f"category_id {_compact(category)} is not in 'categories'")
            is_crowd = crowd == 1 if type(crowd) is int and crowd in (0, 1) else _odd_crowd(crowd)
            if outlined:
                lenient(
                    FROM_OUTLINE, BadBox("bbox is null; give four numbers: x, y, width, height")
                )
        made = partial(
            _box, box, width, height, clip=rules.clip, number=number, outline=bool(outlined)
        )
        objects.add(place[category], made, crowd=is_crowd)
    return objects.truth()


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

    @property
    def name(self) -> str:
        """The file's name as a path below a folder; the last part of what is an address."""
        plain = plain_path(self.file)
        return plain if plain == self.file else plain.rpartition("/")[2]


def _id(value: object) -> Id | None:
    """An id as one kind of value, whether a tool writes 7, 7.0 or "7"; None if it is none."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and value.strip():
        text = value.strip()
        return int(text) if _WHOLE.fullmatch(text) else text
    return None


def _in_order(entry: tuple[Id, object]) -> tuple[bool, Id]:
    return isinstance(entry[0], str), entry[0]


def _roots(categories: Mapping[Id, tuple[str, object]]) -> set[Id]:
    """Categories that stand above others and below none, as exports put above all classes."""
    above = {of for _, of in categories.values()}
    names = {name for name, _ in categories.values()}
    return {
        number
        for number, (name, of) in categories.items()
        if name in above and of in (None, "", "none") and of not in names
    }


def _used_categories(path: Path) -> set[Id | None]:
    keys = {"annotations": _USE}
    return {_id(entry.get("category_id")) for _, entry in read_arrays(path, keys)}


def _shared_files(images: Sequence[_Image], found: Sequence[Found | None]) -> frozenset[str]:
    """Files that are found for several entries which name different ones."""
    names: dict[str, set[str]] = {}
    for image, place in zip(images, found, strict=True):
        if place is not None:
            names.setdefault(place.path, set()).add(image.file)
    return frozenset(path for path, files in names.items() if len(files) > 1)


def _fault_of_path(image: _Image, place: Found | None, shared: Collection[str]) -> str:
    if place is None:
        return path_fault(image.file) if image.name == image.file else ""
    if place.path in shared and not place.exact:
        return f"'{image.file}': no such file, and one that is like it is another's; correct it"
    return ""


def _unlisted(split: str, image: Id | None, objects: str) -> Item:
    first = _compact(json.loads(f"[{objects}]")[0][0])
    where = "no usable image_id" if image is None else f"image_id {image!r}, not in 'images'"
    return Item(
        image_id=f"image_id {image!r}",
        split=split,
        image_path="",
        fault=f"annotation without its image: annotation {first} has {where}; correct or remove it",
    )


def _odd_crowd(value: object) -> bool:
    if isinstance(value, (list, dict)):
        value = _compact(value)
    return odd_flag(value, "iscrowd")


def _box(given: Any, width: int, height: int, *, clip: bool, number: object, outline: bool) -> Box:
    """The box of an annotation: x, y, width and height, or corners if it is that of its outline."""
    with naming(f"annotation {_compact(number)}"):
        wrong = BadBox(f"bbox is {_compact(given)}; {_NUMBERS}")
        if not isinstance(given, list) or len(given) != 4:
            raise wrong
        try:
            x, y, w, h = (corner(value, "a number") for value in given)
        except BadBox:
            raise wrong from None
        if any(isinstance(value, str) for value in given):
            lenient(TEXT_NUMBER, wrong)
        box = (x, y, w, h) if outline else (x, y, x + w, y + h)
        excess = max(-x, -y, box[2] - width, box[3] - height)
        what = f"bbox x={x:g} y={y:g} width={box[2] - x:g} height={box[3] - y:g}"
        return checked_box(box, width, height, clip=clip or excess <= ROUNDING, given=what)
