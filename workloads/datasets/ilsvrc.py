"""ILSVRC CLS-LOC in the folders in which it is distributed, with or without Kaggle's tables.

A tree holds images in `Data/CLS-LOC/{train/<synset>,val}/`, one XML for an image under the same
name in `Annotations/CLS-LOC/`, and `ImageSets/CLS-LOC/{train_cls,val}.txt`. In the tree or in the
folder above it lie `LOC_synset_mapping.txt`, `LOC_val_solution.csv` and the list of validation
images on which localization is not judged.

Corners of boxes are taken as they stand, as half-open ones: so does the evaluation toolkit of the
field, and they run from 0 to the width of the image. The challenge's own widths, one pixel more,
are an option of the metric.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from workloads.datasets import ilsvrc_tree as tree
from workloads.datasets.annotation_checks import class_index, list_lines, path_fault
from workloads.datasets.base import (
    Dataset,
    DatasetOptions,
    Item,
    file_digest,
    file_sizes,
    find_tree,
)
from workloads.datasets.ilsvrc_tree import TRAIN, VAL
from workloads.datasets.image_files import ImageFiles
from workloads.datasets.pascal_xml import HALF_OPEN, check_file, read_objects
from workloads.datasets.remarks import lenient
from workloads.errors import InputRejected, NotFound
from workloads.files import is_file, matching
from workloads.records import GroundTruth, Record, Task

NO_OBJECT = "images of train whose XML has no object have the label of their folder and no boxes"

_SYNSET = re.compile(r"n\d{8}")
_OFFICIAL_NAME = re.compile(r"ILSVRC2012_val_(\d{8})")


class IlsvrcOptions(DatasetOptions):
    """Options of the layout of ILSVRC."""

    blacklist: Path | None = Field(
        default=None,
        description="file of numbers of validation images without a judged localization, one per "
        "line; if not given, *clsloc_validation_blacklist.txt in the tree, the folder above it, "
        "or devkit/data in either",
    )


class Ilsvrc(Dataset):
    """ILSVRC CLS-LOC: one of 1,000 classes in each image, splits train and val.

    `root` is the tree itself or the folder above it, `<root>/ILSVRC`. Ids are file names without
    their ending. About half of the images of train have boxes, all of val. The folder of val may
    have one folder for each synset, as torchvision needs it. What is in an image of
    val, `LOC_val_solution.csv` says if it is there, and else the image's XML.

    Raises:
        NotFound: there is no such tree under `root`, nothing names its classes, or the blacklist
            of the options is missing.
        InputRejected: the file that names the classes has one twice, or none.
    """

    name = "ilsvrc"
    task: ClassVar[Task] = "singlelabel"
    options_type = IlsvrcOptions

    def __init__(self, root: Path, options: IlsvrcOptions | None = None) -> None:
        options = options or IlsvrcOptions()
        super().__init__(find_tree(root, ("ILSVRC",), tree.IMAGES, self.name), options)
        self._solution = tree.beside(self.root, tree.SOLUTION)
        self._blacklist = options.blacklist or tree.find_blacklist(self.root)
        if self._blacklist is not None and not is_file(self._blacklist):
            raise NotFound(f"{self._blacklist}: no such blacklist; correct the option blacklist")
        names = tree.read_classes(self.root)
        self._synsets, self._classes = tuple(names), tuple(names.values())

    @property
    def classes(self) -> tuple[str, ...]:
        """Synset and its first word, "n01440764 tench", as two pairs of words are equal.

        In the order of `LOC_synset_mapping.txt`. Without it: the synsets of the folders of train.
        """
        return self._classes

    def splits(self) -> tuple[str, ...]:
        """Train and val, as far as they are listed. The images of test have no truth."""
        there = {
            TRAIN: is_file(self.root / tree.LISTS[TRAIN]),
            VAL: is_file(self.root / tree.LISTS[VAL]) or self._solution is not None,
        }
        return tuple(split for split, listed in there.items() if listed)

    def items(self, split: str) -> list[Item]:
        """All images listed for a split, in the order of the list, existing or not.

        Rows of `LOC_val_solution.csv` for images that are not on the list follow as items with a
        fault; without the list, the rows are the list. An XML whose image is not on the list is
        no fault: lists of some of the images are common.

        Raises:
            NotFound: no such split; the message names those that exist.
            InputRejected: a line of the blacklist is not a number.
        """
        self.require_split(split)
        return list(self._train_items() if split == TRAIN else self._val_items())

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        An image of train without an XML has its label and no boxes.

        Raises:
            InputRejected: as `pascal_xml.read_objects` does, for a row of the CSV too; or objects
                of several classes, or of another one than the folder of an image of train.
        """
        if item.split == TRAIN:
            truth = self._train_truth(item, width, height)
        elif self._solution is not None:
            rules = self.options.box_rules
            xml = self.root / tree.ANNOTATIONS / VAL / f"{item.image_id}.xml"
            check_file(xml, width, height)  # the row states no size
            truth = tree.solved(item.annotation, width, height, self._synsets, rules)
        else:
            truth = self._objects(item, width, height)
            if not truth.labels:
                raise InputRejected(
                    f"{item.annotation}: image without labels: no <object>; add one or unlist "
                    "the image"
                )
        return replace(truth, blacklisted=item.blacklisted)

    @classmethod
    def write(cls, root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
        """Write records as a tree; only the splits train and val, whose lists are replaced.

        Classes that do not start with a synset get one made up of their index. Images of train
        without boxes get no XML. Lost are masks and, in val, whether an object is truncated.

        Raises:
            ValueError: as `ilsvrc_tree.TreeWriter` does.
        """
        writer = tree.TreeWriter(root, classes)
        for record in records:
            if record.split in tree.LISTS:
                writer.add(record)
        writer.finish()

    def _train_items(self) -> Iterator[Item]:
        listed = cache(lambda folder: file_sizes(self.root / folder))
        files = ImageFiles(self.root, (f"{tree.IMAGES}/{TRAIN}",))
        synsets = frozenset(self._synsets)
        for line in list_lines(self.root / tree.LISTS[TRAIN]):
            path = line.split()[0]
            synset, _, name = path.rpartition("/")
            known = bool(name) and synset in synsets
            xmls = f"{tree.ANNOTATIONS}/{TRAIN}/{synset}"
            has_xml = known and f"{name}.xml" in listed(xmls)
            xml = f"{xmls}/{name}.xml" if has_xml else ""
            found = files.find_id(path, ".JPEG") if known else None
            yield Item(
                image_id=name,
                split=TRAIN,
                image_path=found.path if found else f"{tree.IMAGES}/{TRAIN}/{path}.JPEG",
                annotation=xml,
                num_bytes=found.num_bytes if found else 0,
                fault="" if known else f"'{path}' is not <synset>/<image>; correct the list",
                truth_digest=file_digest(self.root / xml) if xml else "",
            )

    def _val_items(self) -> Iterator[Item]:
        rows = {} if self._solution is None else tree.read_solution(self._solution)
        blacklist = tree.read_blacklist(self._blacklist)
        files = ImageFiles(self.root, self._val_folders())
        unlisted = dict.fromkeys(rows)
        for name, index in self._val_names(rows):
            unlisted.pop(name, None)
            fault = path_fault(name)
            found = None if fault else files.find_id(name, ".JPEG")
            annotation = self._val_annotation(name, rows)
            own_file = self._solution is None and not fault
            yield Item(
                image_id=name,
                split=VAL,
                image_path=found.path if found else f"{tree.IMAGES}/{VAL}/{name}.JPEG",
                annotation=annotation,
                num_bytes=found.num_bytes if found else 0,
                fault=fault or _several(rows.get(name, [])),
                truth_digest=file_digest(self.root / annotation) if own_file else "",
                blacklisted=_blacklist_number(name, index) in blacklist,
            )
        yield from (_unlisted(name) for name in unlisted)

    def _val_folders(self) -> tuple[str, ...]:
        """The flat folder, and those of synsets below it."""
        flat = f"{tree.IMAGES}/{VAL}"
        below = sorted(path.name for path in matching(self.root / flat, "n*/"))
        return (flat, *(f"{flat}/{name}" for name in below if _SYNSET.fullmatch(name)))

    def _val_names(self, rows: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Names on the list with what stands beside them, or those of the rows with nothing."""
        path = self.root / tree.LISTS[VAL]
        if not is_file(path):
            yield from ((name, "") for name in rows)
            return
        for line in list_lines(path):
            name, *rest = line.split()
            yield name, "".join(rest[:1])

    def _val_annotation(self, name: str, rows: dict[str, list[str]]) -> str:
        if self._solution is None:
            return f"{tree.ANNOTATIONS}/{VAL}/{name}.xml"
        return rows.get(name, [""])[0]

    def _train_truth(self, item: Item, width: int, height: int) -> GroundTruth:
        synset = item.image_path.split("/")[-2]
        label = class_index(synset, self._synsets)
        if not item.annotation:
            return GroundTruth(labels=(label,))
        truth = self._objects(item, width, height)
        if not truth.labels:
            lenient(NO_OBJECT, f"{item.annotation}: no <object>; add one or remove the file")
            return replace(truth, labels=(label,))
        if truth.labels != (label,):
            found = self._synsets[truth.labels[0]]
            raise InputRejected(
                f"{item.annotation}: objects of {found} in an image of {synset}; correct the file"
            )
        return truth

    def _objects(self, item: Item, width: int, height: int) -> GroundTruth:
        path = self.root / item.annotation
        label_of = partial(self._label, folder=path.parent.name)
        truth = read_objects(path, width, height, label_of, HALF_OPEN, self.options.box_rules)
        found = sorted({*truth.labels, *truth.difficult_labels})
        tree.require_one_class([self._synsets[label] for label in found], item.annotation)
        # The image has its class, however hard its objects are to recognise.
        return replace(truth, labels=tuple(found), difficult_labels=())

    def _label(self, name: str, folder: str) -> int:
        """The class of `<name>`; in train, words that are no synset mean that of the folder.

        Many files of dogs have the words "Scottish_deerhound" where the synset belongs.
        """
        if not _SYNSET.fullmatch(name) and folder in self._synsets:
            name = folder
        return class_index(name, self._synsets)


def _blacklist_number(name: str, index: str) -> str:
    """Number of an image on a blacklist: the number in its name, or else the one beside it."""
    official = _OFFICIAL_NAME.fullmatch(name)
    return tree.plain_number(official[1] if official else index)


def _several(rows: Sequence[str]) -> str:
    return f"{tree.SOLUTION} has {len(rows)} rows of it; keep one" if len(rows) > 1 else ""


def _unlisted(name: str) -> Item:
    return Item(
        image_id=name,
        split=VAL,
        image_path=f"{tree.IMAGES}/{VAL}/{name}.JPEG",
        fault=f"annotation without its image: {tree.SOLUTION} has it, {tree.LISTS[VAL]} has not; "
        "list it or remove the row",
    )
