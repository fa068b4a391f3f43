"""PASCAL VOC 2007 and 2012, and whatever else comes in their layout.

A tree holds `JPEGImages/<id>.jpg`, `Annotations/<id>.xml` and `ImageSets/Main/<split>.txt`.
Boxes in the files are 1-based and inclusive; everywhere else they are `boxes_xyxy`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from workloads.datasets.annotation_checks import class_index, list_lines, names_of, plain_id
from workloads.datasets.base import Dataset, DatasetOptions, Item, file_digest, find_tree
from workloads.datasets.image_files import ImageFiles, split_suffix
from workloads.datasets.pascal_xml import (
    ONE_BASED_INCLUSIVE,
    class_names,
    objects_xml,
    read_objects,
)
from workloads.datasets.remarks import lenient
from workloads.errors import InputRejected, NotFound
from workloads.files import is_folder, matching
from workloads.records import GroundTruth, Record, Task

IMAGES = "JPEGImages"
ANNOTATIONS = "Annotations"
SPLITS = "ImageSets/Main"
USUAL_SPLITS = ("train", "val", "trainval", "test")
LISTED_ODDLY = "lines of lists of images held more than an id: an ending, a folder or a label"

_OF_CLASS = re.compile(r"\s+-?[01]")


class VocOptions(DatasetOptions):
    """Options of the layout of VOC."""

    class_names: str | None = Field(
        default=None,
        description="own classes: a file with the name of a class on each line, or 'files' for the "
        "names in Annotations, ascending; if not given, those of the data set",
    )


class VocDataset(Dataset):
    """Reader of a VOC tree. A data set in this layout names its classes and its folder.

    An image whose XML has no object is a negative of every class. Images may be of any format.
    Without lists of splits, all XML files of a folder are a split: see `_folders_without_lists`.
    `root` is the tree itself or a folder above it: `<root>/<year>` or `<root>/VOCdevkit/<year>`.

    Raises:
        NotFound: there is no such tree under `root`.
    """

    task: ClassVar[Task] = "multilabel"
    has_difficult = True
    options_type = VocOptions
    year: ClassVar[str] = "VOC2007"

    def __init__(self, root: Path, options: VocOptions | None = None) -> None:
        options = options or VocOptions()
        super().__init__(root, options)
        self._folders: dict[str, tuple[str, str]] = {}
        try:
            self.root = find_tree(root, (self.year, f"VOCdevkit/{self.year}"), SPLITS, self.name)
        except NotFound:
            self._folders = _folders_without_lists(root)
            if not self._folders:
                raise
        self._classes = self._chosen_classes(options.class_names)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a class index is a position in here."""
        return self._classes

    def splits(self) -> tuple[str, ...]:
        """Stems of ImageSets/Main/*.txt, ascending, without the lists of single classes.

        Those are called by a class and another list: `train_val`, not `train_aug`.
        """
        if self._folders:
            return tuple(self._folders)
        stems = {path.stem for path in matching(self.root / SPLITS, "*.txt")}
        lists = {*stems, *USUAL_SPLITS}
        of_classes = {f"{name}_{split}" for name in self.classes for split in lists}
        return tuple(sorted(stems - of_classes))

    def items(self, split: str) -> list[Item]:
        """All images listed for a split, in the order of the list, existing or not.

        Raises:
            NotFound: no such split; the message names those that exist.
        """
        self.require_split(split)
        if self._folders:
            return list(self._items_of_folder(split, *self._folders[split]))
        files = ImageFiles(self.root, (IMAGES,))
        lines = list_lines(self.root / SPLITS / f"{split}.txt")
        return [self._item(split, line, files) for line in lines]

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: as `pascal_xml.read_objects` does, or there is no object where an image
                has one class.
        """
        path = self.root / item.annotation
        rules = self.options.box_rules
        truth = read_objects(path, width, height, self._label, ONE_BASED_INCLUSIVE, rules)
        if self.task == "singlelabel" and not (truth.labels or truth.difficult_labels):
            raise InputRejected(
                f"{item.annotation}: image without labels: no <object>; add one or unlist the image"
            )
        return truth

    def _items_of_folder(self, split: str, xmls: str, images: str) -> Iterator[Item]:
        """An item for each XML of a folder."""
        files = ImageFiles(self.root, (images,))
        for path in sorted(matching(self.root / xmls, "*.xml")):
            found = files.find_id(path.stem, ".jpg")
            yield Item(
                image_id=path.stem,
                split=split,
                image_path=found.path if found else f"{images}/{path.stem}.jpg",
                annotation=path.relative_to(self.root).as_posix(),
                num_bytes=found.num_bytes if found else 0,
                truth_digest=file_digest(path),
            )

    def _item(self, split: str, line: str, files: ImageFiles) -> Item:
        """The item of a line of a list: an id, or what people write instead of one."""
        for name in dict.fromkeys((line, *_ids_in(line))):
            found = files.find_id(name, ".jpg")
            if found:
                break
        else:
            name = line
        if name != line:
            lenient(LISTED_ODDLY, f"{split}.txt: '{line}' is not an id; correct the list")
        xml = f"{ANNOTATIONS}/{name}.xml"
        return Item(
            image_id=name,
            split=split,
            image_path=found.path if found else f"{IMAGES}/{name}.jpg",
            annotation=xml,
            num_bytes=found.num_bytes if found else 0,
            truth_digest=file_digest(self.root / xml),
        )

    def _chosen_classes(self, given: str | None) -> tuple[str, ...]:
        if given is None:
            return self.class_names
        if given != "files":
            return names_of(Path(given))
        folders = [xmls for xmls, _ in self._folders.values()] or [ANNOTATIONS]
        xmls = [path for name in folders for path in matching(self.root / name, "*.xml")]
        found = tuple(sorted({name for path in xmls for name in class_names(path) if name}))
        if not found:
            raise InputRejected(f"{self.root}: no object in the XML files has a name; add some")
        return found

    def _label(self, name: str) -> int:
        try:
            return class_index(name, self.classes)
        except InputRejected as error:
            if self.classes != self.class_names:
                raise
            hint = "own classes are read with --set ingest.options.class_names=files"
            raise InputRejected(f"{error}; {hint}") from None

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


def _folders_without_lists(root: Path) -> dict[str, tuple[str, str]]:
    """Split to its folders of XML files and of images, in a tree that lists no splits.

    So LabelImg leaves it (one split, train), and Roboflow (a folder for each split).
    """
    for xmls, images in ((ANNOTATIONS, IMAGES), (ANNOTATIONS, "images"), ("", "")):
        if any(matching(root / xmls, "*.xml")) and is_folder(root / images):
            return {"train": (xmls, images)}
    names = sorted(path.name for path in matching(root, "*/") if any(matching(path, "*.xml")))
    return {name: (name, name) for name in names}


def _ids_in(line: str) -> Iterator[str]:
    """Ids that a line may mean: without the label behind it, the folders before it, an ending."""
    words = _OF_CLASS.split(line)
    if len(words) > 1:
        yield words[0]
    name = words[0].replace("\\", "/").rpartition("/")[2]
    yield name
    yield split_suffix(name)[0]


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
