"""The metadata layout of the field's evaluation toolkit (github.com/clovaai/wsolevaluation).

A folder holds `<split>/image_ids.txt`, `class_labels.txt`, `image_sizes.txt` and
`localization.txt`; the last two may be missing. The images are in another folder, and so are
the masks. The split train has image labels, val is the small set with boxes or masks for choosing
thresholds (train-fullsup).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from pydantic import Field

from workloads.artifacts import write_text
from workloads.datasets.annotation_checks import list_lines, names_of, naming, path_fault
from workloads.datasets.base import Dataset, DatasetOptions, Item, file_digest
from workloads.datasets.boxes import Objects
from workloads.datasets.image_files import ImageFiles
from workloads.datasets.toolkit_lines import (
    Places,
    box_lines,
    by_image,
    check_stated_size,
    line_id,
    read_box,
    read_label,
    read_masks,
    read_places,
    whole,
)
from workloads.errors import InputRejected, NotFound
from workloads.files import is_file, is_folder, matching
from workloads.images.masks import FOREGROUND, IGNORED, decode_mask, encode_mask
from workloads.records import GroundTruth, Record, Task
from workloads.storage.addresses import absolute

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
    renamed: Path | None = Field(
        default=None,
        description="file of lines 'image id,path of its file' for images whose files have other "
        "names than the lists (ImageNetV2, which was given hashed names)",
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
        self._renamed = {} if options.renamed is None else _renamed(options.renamed)
        self._classes = self._class_names(options.class_names)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, or "0", "1", ... where there are none; a label is a position in here."""
        return self._classes

    def splits(self) -> tuple[str, ...]:
        """The folders with a list of images, ascending."""
        return tuple(sorted(path.parent.name for path in matching(self.root, f"*/{IMAGE_IDS}")))

    def items(self, split: str) -> list[Item]:
        """All images listed for a split, in the order of the list, existing or not.

        Raises:
            NotFound: no such split, or it has no labels.
        """
        self.require_split(split)
        tables = [self._table(split, name) for name in (LABELS, SIZES, LOCALIZATION)]
        files = ImageFiles(self.root, (self._images.rstrip("/"),))

        listed = list(list_lines(self.root / split / IMAGE_IDS))
        faults = {image: path_fault(image) for image in listed}
        places = {
            image: files.find(self._renamed.get(image, image))
            for image, fault in faults.items()
            if not fault
        }
        at_home = {found.path.rpartition("/")[0] for found in places.values() if found}

        def missing(path: str) -> str:
            folder_is_right = path.rpartition("/")[0] in at_home
            return "" if folder_is_right else _other_names(files.count_beside(path))

        def item(image: str, fault: str) -> Item:
            given = self._renamed.get(image, image)
            found = places.get(image)
            path = found.path if found else f"{self._images}{given}"
            said = json.dumps([table.get(image) for table in tables])
            return Item(
                image_id=image,
                split=split,
                image_path=path,
                annotation=said,
                num_bytes=found.num_bytes if found else 0,
                fault=fault or ("" if found else missing(path)),
                truth_digest="" if fault else self._mask_digest(tables[2].get(image)),
            )

        items = [item(image, faults[image]) for image in listed]
        labels, _, located = tables
        unlisted = dict.fromkeys(image for image in (*labels, *located) if image not in faults)
        orphan = f"annotation without its image: {IMAGE_IDS} does not list it; list or remove it"
        return items + [item(image, orphan) for image in unlisted]

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: no label or one that is no class, another size is stated, or a box or
                mask is malformed, missing or outside the image. Names the file.
        """
        label_lines, size_lines, place_lines = json.loads(item.annotation)
        with naming(f"{item.split}/{LABELS}"):
            label = read_label(label_lines, len(self.classes))
        if size_lines is not None:
            with naming(f"{item.split}/{SIZES}"):
                check_stated_size(size_lines, width, height)
        if place_lines is None:
            return GroundTruth(labels=(label,))
        with naming(f"{item.split}/{LOCALIZATION}"):
            return self._truth(label, read_places(place_lines), width, height)

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
        return by_image(path) if name == LABELS or is_file(path) else {}

    def _truth(self, label: int, places: Places, width: int, height: int) -> GroundTruth:
        if places.masks:
            mask = encode_mask(read_masks(self._masks, places))
            return GroundTruth(labels=(label,), mask=mask)
        rules = self.options.box_rules
        objects = Objects(rules)
        for fields in places.boxes:
            objects.add(label, partial(read_box, fields, width, height, clip=rules.clip))
        return objects.truth()

    def _mask_digest(self, said: str | None) -> str:
        """Digest of the masks that an image's lines of `localization.txt` name."""
        try:
            places = read_places(said) if said else None
        except InputRejected:  # said when the image is read
            return ""
        names = [] if places is None else [name for name in (*places.masks, places.ignore) if name]
        return file_digest(*(self._masks / name for name in names)) if names else ""

    def _class_names(self, path: Path | None) -> tuple[str, ...]:
        if path is None and not is_file(self.root / CLASS_NAMES):
            return tuple(str(label) for label in range(max(self._labels(), default=0) + 1))
        path = path or self.root / CLASS_NAMES
        return names_of(path)

    def _labels(self) -> Iterator[int]:
        for path in matching(self.root, f"*/{LABELS}"):
            for line in list_lines(path):
                label = whole(line.partition(",")[2])
                if label is not None and label < MAX_CLASSES:
                    yield label


def _folder(path: Path) -> Path:
    if not is_folder(path):
        raise NotFound(f"{path}: no such folder; correct the data set's options")
    return absolute(path)  # workers have another working directory


def _other_names(others: int) -> str:
    """Reason why an image is not there, if its folder is full of other names."""
    if not others:
        return ""
    return (
        f"no such file, but its folder has {others} images of other names; add it, or give the "
        "names of the files with the option renamed"
    )


def _renamed(path: Path) -> dict[str, str]:
    lines = (line.partition(",") for line in list_lines(path))
    return {image.strip(): file.strip() for image, _, file in lines}


def _image_prefix(root: Path, given: Path | None) -> str:
    """Prefix that turns an image id into a path, relative to the root or absolute."""
    if given is not None:
        folder, top = _folder(given), absolute(root)
        if folder == top:
            return ""
        return f"{folder.relative_to(top) if folder.is_relative_to(top) else folder}/"
    for place in (IMAGES, f"../../dataset/{absolute(root).name}"):
        if is_folder(root / place):
            return f"{place}/"
    return ""


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
