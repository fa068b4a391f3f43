"""The metadata layout of the field's evaluation toolkit (github.com/clovaai/wsolevaluation).

A folder holds `<split>/image_ids.txt`, `class_labels.txt`, `image_sizes.txt` and
`localization.txt`; the last two may be missing. The images are in another folder, and so are
the masks. The split train has image labels, val is the small set with boxes or masks for choosing
thresholds (train-fullsup).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from pydantic import Field

from workloads.artifacts import write_text
from workloads.datasets.annotation_checks import list_lines, path_fault
from workloads.datasets.base import Dataset, DatasetOptions, Item, size_lookup
from workloads.datasets.toolkit_lines import (
    Places,
    box_lines,
    by_image,
    check_stated_size,
    line_id,
    read_label,
    read_masks,
    read_places,
    whole,
)
from workloads.errors import ConfigError, InputRejected, NotFound
from workloads.images.masks import FOREGROUND, IGNORED, decode_mask, encode_mask
from workloads.records import GroundTruth, Record, Task

IMAGE_IDS, LABELS, SIZES = "image_ids.txt", "class_labels.txt", "image_sizes.txt"
LOCALIZATION = "localization.txt"
CLASS_NAMES = "class_names.txt"
IMAGES = "images"
MAX_CLASSES = 100_000
"""A label beyond is a slip, which must not become a hundred million numbers as class names."""


class ToolkitOptions(DatasetOptions):
    """Paths that the metadata does not tell; relative to the working directory."""

    images: Path | None = Field(
        default=None,
        description="folder of the images; if not given, the first that exists of <root>/images, "
        "<root>/../../dataset/<name of root>, <root>",
    )
    masks: Path | None = Field(
        default=None, description="folder of the masks; if not given, that of the images"
    )
    class_names: Path | None = Field(
        default=None,
        description="file with the name of a class on each line; if not given, "
        "<root>/class_names.txt, or else the names are numbers",
    )


class ToolkitMetadata(Dataset):
    """Reader of a folder of metadata, `metadata/<name>` in the toolkit.

    An image id is a path relative to the folder of the images. Images of a split with boxes or
    masks may be without.

    Raises:
        NotFound: `root` holds no split, or a folder or file in the options does not exist.
        ConfigError: a class name is there twice.
    """

    name = "wsolevaluation"
    task: ClassVar[Task] = "singlelabel"
    options_type = ToolkitOptions

    def __init__(self, root: Path, options: ToolkitOptions | None = None) -> None:
        options = options or ToolkitOptions()
        super().__init__(root, options)
        if not self.splits():
            raise NotFound(
                f"{root}: no {self.name} there; give the folder that holds <split>/{IMAGE_IDS}"
            )
        self._images = _image_prefix(root, options.images)
        self._masks = _folder(options.masks) if options.masks else root / self._images
        self._classes = self._class_names(options.class_names)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, or "0", "1", ... where there are none; a label is a position in here."""
        return self._classes

    def splits(self) -> tuple[str, ...]:
        """The folders with a list of images, ascending."""
        return tuple(sorted(path.parent.name for path in self.root.glob(f"*/{IMAGE_IDS}")))

    def items(self, split: str) -> list[Item]:
        """All images listed for a split, in the order of the list, existing or not.

        Raises:
            NotFound: no such split, or it has no labels.
        """
        self.require_split(split)
        tables = [self._table(split, name) for name in (LABELS, SIZES, LOCALIZATION)]
        size = size_lookup(self.root)

        def item(image: str, fault: str) -> Item:
            path = f"{self._images}{image}"
            said = json.dumps([table.get(image) for table in tables])
            return Item(
                image_id=image,
                split=split,
                image_path=path,
                annotation=said,
                num_bytes=0 if fault else size(path),
                fault=fault,
            )

        listed = list(list_lines(self.root / split / IMAGE_IDS))
        items = [item(image, path_fault(image)) for image in listed]
        known = set(listed)
        labels, _, places = tables
        unlisted = dict.fromkeys(image for image in (*labels, *places) if image not in known)
        orphan = f"annotation without its image: {IMAGE_IDS} does not list it; list or remove it"
        return items + [item(image, orphan) for image in unlisted]

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: no label or one that is no class, another size is stated, or a box or
                mask is malformed, missing or outside the image. Names the file.
        """
        label_lines, size_lines, place_lines = json.loads(item.annotation)
        with _naming(f"{item.split}/{LABELS}"):
            label = read_label(label_lines, len(self.classes))
        if size_lines is not None:
            with _naming(f"{item.split}/{SIZES}"):
                check_stated_size(size_lines, width, height)
        if place_lines is None:
            return GroundTruth(labels=(label,))
        with _naming(f"{item.split}/{LOCALIZATION}"):
            places = read_places(place_lines, width, height, clip=self.options.clip_boxes)
            return self._truth(label, places)

    @classmethod
    def write(cls, root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
        """Write records as metadata, with the images and masks below `<root>/images`.

        An id without a suffix gets ".jpg". Whether objects are truncated and images blacklisted
        is lost, for the layout has no place for it.

        Raises:
            ValueError: a record has not exactly one class, has difficult objects or crowds, has
                boxes and a mask, or an id that cannot stand in a list of paths.
        """
        tables: dict[str, dict[str, list[str]]] = {}
        for record in records:
            _check_writable(record)
            names = (IMAGE_IDS, LABELS, SIZES, LOCALIZATION)
            table = tables.setdefault(record.split, {name: [] for name in names})
            image = line_id(record.image_id)
            image = image if PurePosixPath(image).suffix else f"{image}.jpg"
            _write(root, image, record.image)
            table[IMAGE_IDS].append(image)
            table[LABELS].append(f"{image},{record.truth.labels[0]}")
            table[SIZES].append(f"{image},{record.width},{record.height}")
            table[LOCALIZATION] += _write_places(root, image, record.truth)
        for split, table in tables.items():
            for name, lines in table.items():
                write_text(root / split / name, "".join(f"{line}\n" for line in lines))
        write_text(root / CLASS_NAMES, "".join(f"{name}\n" for name in classes))

    def _table(self, split: str, name: str) -> dict[str, str]:
        path = self.root / split / name
        return by_image(path) if name == LABELS or path.is_file() else {}

    def _truth(self, label: int, places: Places) -> GroundTruth:
        if places.masks:
            mask = encode_mask(read_masks(self._masks, places))
            return GroundTruth(labels=(label,), mask=mask)
        labels = np.full(len(places.boxes), label, np.int32)
        return GroundTruth.from_boxes(np.array(places.boxes, np.float32), labels)

    def _class_names(self, path: Path | None) -> tuple[str, ...]:
        if path is None and not (self.root / CLASS_NAMES).is_file():
            return tuple(str(label) for label in range(max(self._labels(), default=0) + 1))
        path = path or self.root / CLASS_NAMES
        names = tuple(list_lines(path))
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ConfigError(f"{path}: class name '{name}' is there twice; give each once")
        return names

    def _labels(self) -> Iterator[int]:
        for path in self.root.glob(f"*/{LABELS}"):
            for line in list_lines(path):
                label = whole(line.partition(",")[2])
                if label is not None and label < MAX_CLASSES:
                    yield label


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise NotFound(f"{path}: no such folder; correct the data set's options")
    return path.absolute()  # workers have another working directory


def _image_prefix(root: Path, given: Path | None) -> str:
    """Prefix that turns an image id into a path, relative to the root or absolute."""
    if given is not None:
        folder, top = _folder(given), root.absolute()
        if folder == top:
            return ""
        return f"{folder.relative_to(top) if folder.is_relative_to(top) else folder}/"
    for place in (IMAGES, f"../../dataset/{root.absolute().name}"):
        if (root / place).is_dir():
            return f"{place}/"
    return ""


@contextmanager
def _naming(file: str) -> Iterator[None]:
    try:
        yield
    except InputRejected as error:
        raise type(error)(f"{file}: {error}") from None


def _check_writable(record: Record) -> None:
    truth = record.truth
    if len(truth.labels) != 1 or truth.difficult_labels or set(truth.box_labels) - {*truth.labels}:
        raise ValueError(f"{record.image_id}: the layout has exactly one class for an image")
    if truth.box_difficult.any() or truth.box_crowd.any():
        raise ValueError(f"{record.image_id}: the layout has no difficult objects and no crowds")
    if truth.mask is not None and len(truth.boxes_xyxy):
        raise ValueError(f"{record.image_id}: the layout has boxes or a mask for an image")


def _write(root: Path, name: str, data: bytes) -> None:
    path = root / IMAGES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_places(root: Path, image: str, truth: GroundTruth) -> list[str]:
    """Write the mask, if there is one; returns the image's lines."""
    if truth.mask is None:
        return box_lines(image, truth.boxes_xyxy.tolist())
    mask = decode_mask(truth.mask)
    names = [f"{image}_mask.png", f"{image}_ignore.png" if (mask == IGNORED).any() else ""]
    for name, value in zip(names, (FOREGROUND, IGNORED), strict=True):
        if name:
            _write(root, name, encode_mask((mask == value).astype(np.uint8) * 255))
    return [",".join([image, *names])]
