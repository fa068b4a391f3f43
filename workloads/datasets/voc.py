"""PASCAL VOC 2007 and 2012, and whatever else comes in their layout.

A tree holds `JPEGImages/<id>.jpg`, `Annotations/<id>.xml` and `ImageSets/Main/<split>.txt`.
Boxes in the files are 1-based and inclusive; everywhere else they are `boxes_xyxy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from workloads.datasets.annotation_checks import class_index, list_lines, plain_id
from workloads.datasets.base import Dataset, DatasetOptions, Item, file_sizes, find_tree
from workloads.datasets.pascal_xml import ONE_BASED_INCLUSIVE, objects_xml, read_objects
from workloads.records import GroundTruth, Record, Task

IMAGES = "JPEGImages"
ANNOTATIONS = "Annotations"
SPLITS = "ImageSets/Main"


class VocDataset(Dataset):
    """Reader of a VOC tree. A data set in this layout names its classes and its folder.

    `root` is the tree itself or a folder above it: `<root>/<year>` or `<root>/VOCdevkit/<year>`.

    Raises:
        NotFound: there is no such tree under `root`.
    """

    task: ClassVar[Task] = "multilabel"
    has_difficult = True
    year: ClassVar[str] = "VOC2007"

    def __init__(self, root: Path, options: DatasetOptions | None = None) -> None:
        super().__init__(root, options)
        self.root = find_tree(root, (self.year, f"VOCdevkit/{self.year}"), SPLITS, self.name)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a class index is a position in here."""
        return self.class_names

    def splits(self) -> tuple[str, ...]:
        """Stems of ImageSets/Main/*.txt, ascending, without the lists of single classes."""
        of_classes = tuple(f"{name}_" for name in self.classes)
        stems = (path.stem for path in (self.root / SPLITS).glob("*.txt"))
        return tuple(sorted(stem for stem in stems if not stem.startswith(of_classes)))

    def items(self, split: str) -> list[Item]:
        """All images listed for a split, in the order of the list, existing or not.

        Raises:
            NotFound: no such split; the message names those that exist.
        """
        self.require_split(split)
        sizes = file_sizes(self.root / IMAGES)
        return [
            Item(
                image_id=name,
                split=split,
                image_path=f"{IMAGES}/{name}.jpg",
                annotation=f"{ANNOTATIONS}/{name}.xml",
                num_bytes=sizes.get(f"{name}.jpg", 0),
            )
            for name in list_lines(self.root / SPLITS / f"{split}.txt")
        ]

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: as `pascal_xml.read_objects` does.
        """
        path, clip = self.root / item.annotation, self.options.clip_boxes
        return read_objects(path, width, height, self._label, ONE_BASED_INCLUSIVE, clip=clip)

    def _label(self, name: str) -> int:
        return class_index(name, self.classes)

    @classmethod
    def write(cls, root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
        """Write records as a tree; an existing one is added to, its split lists replaced.

        Raises:
            ValueError: an image id is not a plain file name.
        """
        for folder in (IMAGES, ANNOTATIONS, SPLITS):
            (root / folder).mkdir(parents=True, exist_ok=True)
        listed: dict[str, list[str]] = {}
        for record in records:
            name = plain_id(record.image_id)
            (root / IMAGES / f"{name}.jpg").write_bytes(record.image)
            xml = objects_xml(record, classes, ONE_BASED_INCLUSIVE)
            (root / ANNOTATIONS / f"{name}.xml").write_bytes(xml)
            listed.setdefault(record.split, []).append(name)
        for split, names in listed.items():
            text = "".join(f"{name}\n" for name in names)
            (root / SPLITS / f"{split}.txt").write_text(text, encoding="utf-8")


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


class Voc2012(Voc2007):
    """PASCAL VOC 2012: the same 20 classes, splits train, val and trainval (test has no boxes)."""

    name = "voc2012"
    year = "VOC2012"
