"""Data sets in the layout of PASCAL VOC: read by `VocDataset`, written by `write_voc`.

A tree holds `JPEGImages/<id>.jpg`, `Annotations/<id>.xml` and `ImageSets/Main/<split>.txt`.
Boxes in the files are 1-based and inclusive; everywhere else they are `boxes_xyxy`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from workloads.datasets.base import Dataset, Item, Task
from workloads.errors import InputRejected, NotFound, TooLarge, unknown_name
from workloads.records import GroundTruth, Record

IMAGES = "JPEGImages"
ANNOTATIONS = "Annotations"
SPLITS = "ImageSets/Main"
MAX_XML_BYTES = 2**20

Box = tuple[float, float, float, float]


class VocDataset(Dataset):
    """Reader of a VOC tree. A data set in this layout names its classes and its folder.

    `root` is the tree itself or a folder above it: `<root>/<year>` or `<root>/VOCdevkit/<year>`.

    Raises:
        NotFound: there is no such tree under `root`.
    """

    task: ClassVar[Task] = "multilabel"
    class_names: ClassVar[tuple[str, ...]]
    year: ClassVar[str] = "VOC2007"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        places = (root, root / self.year, root / "VOCdevkit" / self.year)
        found = [place for place in places if (place / SPLITS).is_dir()]
        if not found:
            raise NotFound(
                f"{root}: no {self.name} there; give the folder that holds {IMAGES}, "
                f"{ANNOTATIONS} and {SPLITS}, or the VOCdevkit above {self.year}"
            )
        self.tree = found[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a class index is a position in here."""
        return self.class_names

    def splits(self) -> tuple[str, ...]:
        """Stems of ImageSets/Main/*.txt, ascending, without the lists of single classes."""
        of_classes = tuple(f"{name}_" for name in self.classes)
        stems = (path.stem for path in (self.tree / SPLITS).glob("*.txt"))
        return tuple(sorted(stem for stem in stems if not stem.startswith(of_classes)))

    def items(self, split: str) -> list[Item]:
        """All images listed for a split, in the order of the list, existing or not.

        Raises:
            NotFound: no such split; the message names those that exist.
        """
        if split not in self.splits():
            raise NotFound(f"{self.tree}: {unknown_name('split', split, self.splits())}")
        text = (self.tree / SPLITS / f"{split}.txt").read_text(encoding="utf-8-sig")
        sizes = _file_sizes(self.tree / IMAGES)
        names = (line.strip() for line in text.splitlines())
        return [self._item(name, split, sizes) for name in names if name]

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: the XML is missing, over 1 MiB or malformed, states another image size,
                names an unknown class, has no object, or has a box that is inverted, empty or
                outside the image.
        """
        path = item.annotation_path
        if path is None:
            raise InputRejected(f"{item.image_id}: listed without an annotation; add one")
        try:
            return self._truth(_parse_xml(path), width, height)
        except InputRejected as error:
            raise type(error)(f"{ANNOTATIONS}/{path.name}: {error}") from None

    def _item(self, image_id: str, split: str, sizes: dict[str, int]) -> Item:
        file = f"{image_id}.jpg"
        return Item(
            image_id=image_id,
            split=split,
            image_path=self.tree / IMAGES / file,
            annotation_path=self.tree / ANNOTATIONS / f"{image_id}.xml",
            num_bytes=sizes.get(file, 0),
        )

    def _truth(self, root: Element, width: int, height: int) -> GroundTruth:
        _check_size(root, width, height)
        objects = root.findall("object")
        if not objects:
            raise InputRejected("image without labels: no <object>; add one or unlist the image")
        return GroundTruth.from_boxes(
            np.array([_box(node, width, height) for node in objects], np.float32),
            np.array([self._label(node) for node in objects], np.int32),
            np.array([_difficult(node) for node in objects], np.bool_),
        )

    def _label(self, node: Element) -> int:
        name = (node.findtext("name") or "").strip()
        if name not in self.classes:
            raise InputRejected(unknown_name("class", name, self.classes))
        return self.classes.index(name)


class Voc2007(VocDataset):
    """PASCAL VOC 2007: 20 classes, splits train, val, trainval and test."""

    name = "voc2007"
    class_names = (
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    )


def write_voc(root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
    """Write records as a VOC tree; `VocDataset` reads back the same truth.

    Records are taken one at a time, so they may come from a generator. Images are written as
    they are and should be JPEG files.

    Args:
        root: the folder to fill; an existing one is added to, its split lists replaced.
        classes: names of the class indices.
        records: images with their truth, of any splits.

    Raises:
        ValueError: an image id is not a plain file name.
    """
    for folder in (IMAGES, ANNOTATIONS, SPLITS):
        (root / folder).mkdir(parents=True, exist_ok=True)
    listed: dict[str, list[str]] = {}
    for record in records:
        if Path(record.image_id).name != record.image_id:
            raise ValueError(f"image id {record.image_id!r} is not a plain file name")
        (root / IMAGES / f"{record.image_id}.jpg").write_bytes(record.image)
        xml = _annotation_xml(record, classes)
        (root / ANNOTATIONS / f"{record.image_id}.xml").write_bytes(xml)
        listed.setdefault(record.split, []).append(record.image_id)
    for split, names in listed.items():
        text = "".join(f"{name}\n" for name in names)
        (root / SPLITS / f"{split}.txt").write_text(text, encoding="utf-8")


def _file_sizes(folder: Path) -> dict[str, int]:
    # One listing instead of a stat per image: lists have tens of thousands of lines.
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def _parse_xml(path: Path) -> Element:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_XML_BYTES + 1)
    except FileNotFoundError:
        raise InputRejected("no such file; add it or unlist the image") from None
    if len(data) > MAX_XML_BYTES:
        raise TooLarge(f"over {MAX_XML_BYTES} bytes; an annotation is a few kilobytes")
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise InputRejected(f"not well-formed XML ({reason}); repair it") from None
    return root


def _check_size(root: Element, width: int, height: int) -> None:
    size = root.find("size")
    if size is None:
        return
    stated = (_number(size, "width"), _number(size, "height"))
    if stated != (width, height):
        raise InputRejected(
            f"<size> says {stated[0]:g}x{stated[1]:g}, the upright image is {width}x{height}; "
            "correct the size and the boxes, or replace the image"
        )


def _box(node: Element, width: int, height: int) -> Box:
    place = node.find("bndbox")
    if place is None:
        raise InputRejected("an <object> has no <bndbox>; add it")
    xmin, ymin, xmax, ymax = (_number(place, tag) for tag in ("xmin", "ymin", "xmax", "ymax"))
    box = (xmin - 1, ymin - 1, xmax, ymax)
    given = f"box xmin={xmin:g} ymin={ymin:g} xmax={xmax:g} ymax={ymax:g}"
    if box[2] <= box[0] or box[3] <= box[1]:
        raise InputRejected(f"{given} is inverted or empty; correct it")
    if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
        raise InputRejected(
            f"{given} is outside the upright image; 1 <= x <= {width} and 1 <= y <= {height} "
            "are allowed; correct it"
        )
    return box


def _difficult(node: Element) -> bool:
    text = (node.findtext("difficult") or "0").strip()
    if text not in ("0", "1"):
        raise InputRejected(f"<difficult> is '{text}' (allowed: 0, 1)")
    return text == "1"


def _number(node: Element, tag: str) -> float:
    text = (node.findtext(tag) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputRejected(f"<{tag}> in <{node.tag}> is '{text}', not a number; correct it")
    return value


def _annotation_xml(record: Record, classes: Sequence[str]) -> bytes:
    root = Element("annotation")
    SubElement(root, "filename").text = f"{record.image_id}.jpg"
    size = SubElement(root, "size")
    for tag, value in (("width", record.width), ("height", record.height), ("depth", 3)):
        SubElement(size, tag).text = str(value)
    truth = record.truth
    for box, label, difficult in zip(
        truth.boxes_xyxy.tolist(),
        truth.box_labels.tolist(),
        truth.box_difficult.tolist(),
        strict=True,
    ):
        root.append(_object_xml(box, classes[label], difficult))
    data: bytes = tostring(root, encoding="utf-8")
    return data


def _object_xml(box: Sequence[float], name: str, difficult: bool) -> Element:
    node = Element("object")
    SubElement(node, "name").text = name
    SubElement(node, "difficult").text = str(int(difficult))
    place = SubElement(node, "bndbox")
    inclusive = (box[0] + 1, box[1] + 1, box[2], box[3])
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), inclusive, strict=True):
        SubElement(place, tag).text = str(int(value)) if value == int(value) else repr(value)
    return node
