"""The common part of folders and tables of people's own images.

Labels come with the images; boxes are for search and metrics alone and may be known for a few
images only. An image whose boxes are not known is marked as one on which localization is not
judged, so what is found there is neither right nor wrong.
"""

from __future__ import annotations

import abc
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from workloads.artifacts import write_text
from workloads.datasets.annotation_checks import check_size, list_lines
from workloads.datasets.base import Dataset, DatasetOptions, Item
from workloads.datasets.boxes import Box, Objects, checked_box
from workloads.datasets.boxes_file import BoxedImage, NamedBox, match_images, read_boxes
from workloads.datasets.drawn_splits import TEST, TRAIN, VAL, draw_splits
from workloads.datasets.names import alike, ordered_classes, shown
from workloads.errors import InputRejected, unknown_name
from workloads.files import is_file
from workloads.images.decode import ImageLimits, read_image_bytes
from workloads.records import GroundTruth, Task
from workloads.storage.addresses import below

BOXES = "boxes.json"
CLASSES = "classes.txt"
_ENDINGS = "jpg jpeg jpe jfif png webp bmp tif tiff gif heic heif avif jp2 jxl svg"
SUFFIXES = frozenset(f".{name}" for name in _ENDINGS.split())
"""Endings of files that people take for images; those that cannot be read say so one by one."""
DRAWN_SHARE = 0.1
_ROUNDING = 0.5  # labelling tools round: so far a box may reach beyond its image, and is cut
_ORDER = (TRAIN, VAL, TEST)


class OwnOptions(DatasetOptions):
    """Options of people's own images."""

    boxes: str | None = Field(
        default=None,
        description="COCO file with boxes of some of the images, its path taken from the root; "
        f"null: {BOXES} if it is there; '': none",
    )
    boxes_frame: Literal["stored", "upright"] = Field(
        default="upright",
        description="image in which boxes lie if its EXIF orientation is not 1: upright, as "
        "labelling tools show it, or as stored",
    )
    val_share: float | None = Field(
        default=None,
        ge=0,
        lt=0.5,
        description="part of each class that is drawn for a split val where there is none; null: "
        f"{DRAWN_SHARE} where no splits are given at all, else 0",
    )
    test_share: float | None = Field(
        default=None, ge=0, lt=0.5, description="the same for a split test"
    )
    split_seed: int = Field(default=0, description="of the drawn splits")


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as a folder or table lists it.

    Attributes:
        image_id, image_path, num_bytes, fault: as in `Item`.
        labels: its classes by name.
        split: "" if it is to be drawn.
        boxes: None if they are not known.
        size: width and height that are stated; None without.
        place: the table file, row and column that hold its bytes; () if `image_path` does.
    """

    image_id: str
    image_path: str
    labels: tuple[str, ...] = ()
    split: str = ""
    num_bytes: int = 0
    fault: str = ""
    boxes: tuple[NamedBox, ...] | None = None
    size: tuple[int, int] | None = None
    place: tuple[str, int, str] | tuple[()] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A listing: entries, and the classes in their order."""

    entries: Sequence[Entry]
    classes: tuple[str, ...]
    task: Task


class OwnData(Dataset):
    """Reader of images with labels, and of boxes beside them.

    Raises:
        NotFound: there are no images under `root`, or no boxes file of that name.
        InputRejected: the boxes file cannot be read, or two classes have nearly one name.
        ConfigError: an option names what is not there.
    """

    options_type: ClassVar[type[OwnOptions]] = OwnOptions
    options: OwnOptions

    def __init__(self, root: Path, options: DatasetOptions | None = None) -> None:
        super().__init__(root, options)
        found = self._find()
        self._classes, self._task = found.classes, found.task
        self._index = {alike(name): label for label, name in enumerate(found.classes)}
        self._items: dict[str, list[Item]] | None = self._by_split(found)

    def __getstate__(self) -> dict[str, Any]:
        """Workers get the items that they read, not all of them."""
        return {**self.__dict__, "_items": None}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names as people see them, in natural order or in that of `classes.txt`."""
        return self._classes

    def found_task(self) -> Task:
        """By what the labels are."""
        return self._task

    def splits(self) -> tuple[str, ...]:
        """The splits that have images: train, val and test first."""
        return tuple(sorted(self._listed(), key=lambda name: (*map(name.__ne__, _ORDER), name)))

    def items(self, split: str) -> list[Item]:
        """All images of a split, by name, and what else is wrong there.

        Raises:
            NotFound: no such split; the message names those that exist.
        """
        self.require_split(split)
        return list(self._listed()[split])

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The labels of one image, and its boxes if they are known.

        Raises:
            InputRejected: a box is outside the image or of an unknown class, or another size of
                the image is stated.
        """
        labels, boxes, size, _ = json.loads(item.annotation)
        known = tuple(sorted({self._index[alike(name)] for name in labels}))
        if boxes is None:
            return GroundTruth(labels=known, blacklisted=True)
        if size is not None:
            check_size(tuple(size), width, height, "the boxes' file")
        objects = Objects(self.options.box_rules)
        for box in boxes:
            objects.add(
                self._label(box), partial(self._box, box, width, height), crowd=bool(box[2])
            )
        return replace(objects.truth(), labels=known)

    def read_image(self, item: Item, limits: ImageLimits) -> bytes:
        """The bytes of one image.

        Raises:
            InputRejected: too large, or this user may not read it.
        """
        try:
            return read_image_bytes(below(self.root, item.image_path), limits)
        except PermissionError:
            raise InputRejected("this user may not read it; change its permissions") from None

    def _listed(self) -> dict[str, list[Item]]:
        if self._items is None:
            self._items = self._by_split(self._find())
        return self._items

    def _by_split(self, found: Found) -> dict[str, list[Item]]:
        items: dict[str, list[Item]] = {}
        for entry in self._with_boxes(_in_splits(found.entries, self.options)):
            items.setdefault(entry.split, []).append(_item(entry))
        return items

    def _ordered(self, names: Iterable[str]) -> tuple[str, ...]:
        """Classes in natural order, or in that of `classes.txt` if it is there.

        Raises:
            InputRejected: as `ordered_classes`, or a class is not on that list.
        """
        found = ordered_classes(names, str(self.root))
        path = self.root / CLASSES
        if not is_file(path):
            return found
        listed = tuple(shown(line) for line in list_lines(path))
        if len({alike(name) for name in listed}) < len(listed):
            raise InputRejected(f"{path}: a class is there twice; write each once")
        known = {alike(name) for name in listed}
        for name in found:
            if alike(name) not in known:
                raise InputRejected(f"{path}: {unknown_name('class', name, listed)}")
        return listed

    @abc.abstractmethod
    def _find(self) -> Found:
        """List everything under `self.root`; may set it to where the data are."""

    def _label(self, named: NamedBox) -> int:
        label = self._index.get(alike(named[0]))
        if label is None:
            raise InputRejected(f"{_given(named)}: {unknown_name('class', named[0], self.classes)}")
        return label

    def _box(self, named: NamedBox, width: int, height: int) -> Box:
        _, (x, y, w, h), _ = named
        corners = (x, y, x + w, y + h)
        excess = max(-x, -y, corners[2] - width, corners[3] - height)
        clip = self.options.clip_boxes or excess <= _ROUNDING
        return checked_box(corners, width, height, clip=clip, given=_given(named))

    def _with_boxes(self, entries: list[Entry]) -> list[Entry]:
        """The entries with what the boxes file says, and one for each of its images without."""
        path = self._boxes_path()
        if path is None:
            return entries
        boxed = read_boxes(path)
        matched = match_images(boxed, [entry.image_path for entry in entries])
        entries, unmatched = list(entries), []
        for number, index in matched.items():
            if isinstance(index, int):
                entries[index] = _boxed(entries[index], boxed[number])
            elif boxed[number].boxes:
                split = entries[0].split if entries else TRAIN
                unmatched.append(Entry(boxed[number].file, "", split=split, fault=index))
        return entries + unmatched

    def _boxes_path(self) -> Path | None:
        if self.options.boxes is None:
            default = self.root / BOXES
            return default if is_file(default) else None
        if not self.options.boxes:
            return None
        return below(self.root, str(Path(self.options.boxes).expanduser()))


def write_classes(root: Path, classes: Sequence[str]) -> None:
    """Write down the order of the classes."""
    write_text(root / CLASSES, "".join(f"{name}\n" for name in classes))


def _in_splits(entries: Sequence[Entry], options: OwnOptions) -> list[Entry]:
    """Entries with a split each: given, or drawn from those that are to be drawn from.

    Where splits are given, those that are missing may be drawn from train.
    """
    given = {entry.split for entry in entries if entry.split}
    default = 0.0 if given else DRAWN_SHARE
    wanted = {VAL: options.val_share, TEST: options.test_share}
    shares = {s: default if n is None else n for s, n in wanted.items() if s not in given}
    drawn = [entry for entry in entries if entry.split in ("", TRAIN) and not entry.fault]
    # An image that is listed again stays where it is.
    groups = {entry.image_id: "\n".join(entry.labels) for entry in reversed(drawn)}
    pairs = [(group, image_id) for image_id, group in groups.items()]
    splits = dict(zip(groups, draw_splits(pairs, shares, options.split_seed), strict=True))
    return [
        replace(entry, split=splits[entry.image_id])
        if entry.split in ("", TRAIN) and not entry.fault
        else replace(entry, split=entry.split or TRAIN)
        for entry in entries
    ]


def _given(named: NamedBox) -> str:
    name, (x, y, w, h), _ = named
    return f"box of '{name}' x={x:g} y={y:g} width={w:g} height={h:g}"


def _boxed(entry: Entry, image: BoxedImage) -> Entry:
    """With the boxes of an image; one that has a label and no box is not finished yet."""
    boxes = tuple(image.boxes)
    known = bool(boxes) or not entry.labels
    return replace(entry, boxes=boxes if known else None, size=image.size)


def _item(entry: Entry) -> Item:
    said = [entry.labels, entry.boxes, entry.size, entry.place]
    return Item(
        image_id=entry.image_id,
        split=entry.split,
        image_path=entry.image_path,
        annotation=json.dumps(said, ensure_ascii=False, separators=(",", ":")),
        num_bytes=entry.num_bytes,
        fault=entry.fault,
    )
