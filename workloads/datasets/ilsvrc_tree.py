"""The files of an ILSVRC tree that speak of all images: where they are, how they are read, written.

Lists have a name and a number per line: "n01440764/n01440764_10026 1" or
"ILSVRC2012_val_00000001 1". `LOC_synset_mapping.txt`: "n01440764 tench, Tinca tinca".
`LOC_val_solution.csv`: "ILSVRC2012_val_00048981,n03995372 85 1 499 272 ", a group of five for
each object. A blacklist: a number of val.txt per line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from workloads.artifacts import write_text
from workloads.datasets.annotation_checks import (
    class_index,
    list_lines,
    naming,
    only_label,
    word_id,
)
from workloads.datasets.boxes import Box, BoxRules, Objects, checked_box, corner
from workloads.datasets.pascal_xml import HALF_OPEN, as_text, objects_xml
from workloads.errors import InputRejected, NotFound
from workloads.files import is_file, matching
from workloads.records import GroundTruth, Record

TRAIN, VAL = "train", "val"
IMAGES = "Data/CLS-LOC"
ANNOTATIONS = "Annotations/CLS-LOC"
LISTS = {TRAIN: "ImageSets/CLS-LOC/train_cls.txt", VAL: "ImageSets/CLS-LOC/val.txt"}
MAPPING = "LOC_synset_mapping.txt"
SOLUTION = "LOC_val_solution.csv"
HEADER = ("ImageId", "PredictionString")
DEVKIT = "devkit/data"
BLACKLIST = "ILSVRC2015_clsloc_validation_blacklist.txt"

_WITH_SYNSET = re.compile(r"(n\d{8}) (.+)")


def beside(root: Path, name: str) -> Path | None:
    """A file in the tree or, where Kaggle puts it, in the folder above."""
    return next((place / name for place in (root, root.parent) if is_file(place / name)), None)


def find_blacklist(root: Path) -> Path | None:
    """The blacklist that came with the tree: of several in a folder, the newest."""
    tops = (root, root.parent)
    for place in (*tops, *(top / DEVKIT for top in tops)):
        found = sorted(matching(place, f"*{BLACKLIST.partition('_')[2]}"))
        if found:
            return found[-1]
    return None


def plain_number(text: str) -> str:
    """A number without leading zeros, as text; empty if it is none."""
    return text.lstrip("0") if text.isdecimal() else ""


def read_blacklist(path: Path | None) -> frozenset[str]:
    """The numbers on a blacklist, without leading zeros; none without a file.

    Raises:
        InputRejected: a line is not a number above 0. Names the file.
    """
    numbers = set()
    for line in () if path is None else list_lines(path):
        if not plain_number(line):
            raise InputRejected(f"{path}: '{line}' is not a number of an image; correct the line")
        numbers.add(plain_number(line))
    return frozenset(numbers)


def read_solution(path: Path) -> dict[str, list[str]]:
    """Image id to what its rows say. By lines, so that a stray quote spoils one row only."""
    rows: dict[str, list[str]] = {}
    for line in list_lines(path):
        name, _, text = (part.strip('" ') for part in line.partition(","))
        if name != HEADER[0]:
            rows.setdefault(name, []).append(text)
    return rows


def solved(
    text: str, width: int, height: int, synsets: Sequence[str], rules: BoxRules
) -> GroundTruth:
    """The truth in what a row of the solution says.

    Args:
        text: groups of a synset and four corners, half-open.
        width, height: of the image.
        synsets: WordNet ids by class index.
        rules: what becomes of bad boxes.

    Raises:
        InputRejected: no group or half a one, several synsets or an unknown one, or bad boxes
            that cost the image. Names the file.
    """
    fields = text.split()
    with naming(SOLUTION):
        if not fields or len(fields) % 5:
            raise InputRejected(
                f"{len(fields)} fields, not a synset and 4 corners for each object; correct or "
                "add the row"
            )
        require_one_class(fields[::5], "the row")
        label = class_index(fields[0], synsets)
        objects = Objects(rules)
        for at in range(0, len(fields), 5):
            corners = fields[at + 1 : at + 5]
            objects.add(label, partial(_box, corners, width, height, clip=rules.clip))
        return objects.truth()


def require_one_class(synsets: Sequence[str], where: str) -> None:
    """Raise InputRejected unless all objects of an image are of one class; names `where`."""
    several = sorted(set(synsets))
    if len(several) > 1:
        raise InputRejected(
            f"{where}: objects of {', '.join(several)}, an image has one class; correct it"
        )


def read_classes(root: Path) -> dict[str, str]:
    """Synset to class name: itself and its first word, or itself alone if nothing maps it.

    Raises:
        NotFound: there is neither a mapping nor a folder of a synset.
        InputRejected: the mapping has a synset twice, or none. Names the file.
    """
    mapping = beside(root, MAPPING)
    if mapping is not None:
        return _mapped(mapping)
    folders = matching(root / IMAGES / TRAIN, "*/")
    synsets = sorted(folder.name for folder in folders)
    if not synsets:
        raise NotFound(f"{root}: neither {MAPPING} nor {IMAGES}/{TRAIN}/<synset>; add the mapping")
    return {synset: synset for synset in synsets}


class TreeWriter:
    """Writes a tree: images as they come, lists at the end.

    Args:
        root: the folder to fill.
        classes: names of the class indices. Of one that starts with a synset, "n01440764 tench",
            that is the synset; else it is made up of the index.

    Raises:
        ValueError: two classes have one synset.
    """

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        self._root = root
        self._mapping = [_synset_and_words(index, name) for index, name in enumerate(classes)]
        self._synsets = [synset for synset, _ in self._mapping]
        if len(set(self._synsets)) != len(classes):
            raise ValueError("two classes have one synset; give all classes one, or none")
        self._listed: dict[str, list[str]] = {}
        self._rows = [",".join(HEADER)]
        self._blacklist: list[int] = []

    def add(self, record: Record) -> None:
        """Write an image, and its XML if it has boxes.

        Raises:
            ValueError: the id cannot stand on a list, the image has not just one class, an
                object is difficult, or an image of val has no box.
        """
        name, synset = word_id(record.image_id), self._synsets[only_label(record)]
        listed = f"{synset}/{name}" if record.split == TRAIN else name
        names = self._listed.setdefault(record.split, [])
        names.append(listed)
        if record.split == VAL:
            self._rows.append(f"{name},{_prediction_string(record, synset)}")
            self._blacklist += [len(names)] * record.truth.blacklisted
        place = f"{record.split}/{listed}"
        _write(self._root / IMAGES / f"{place}.JPEG", record.image)
        if len(record.truth.boxes_xyxy):
            xml = objects_xml(record, self._synsets, HALF_OPEN)
            _write(self._root / ANNOTATIONS / f"{place}.xml", xml)

    def finish(self) -> None:
        """Write the lists of what was added; that of a split without images is left alone."""
        self._write_lines(MAPPING, [f"{synset} {words}" for synset, words in self._mapping])
        for split, names in self._listed.items():
            lines = [f"{name} {number}" for number, name in enumerate(names, start=1)]
            self._write_lines(LISTS[split], lines)
        if VAL in self._listed:
            self._write_lines(SOLUTION, self._rows)
            self._write_blacklist()

    def _write_blacklist(self) -> None:
        path = f"{DEVKIT}/{BLACKLIST}"
        if self._blacklist:
            self._write_lines(path, [str(number) for number in self._blacklist])
        else:
            (self._root / path).unlink(missing_ok=True)

    def _write_lines(self, path: str, lines: Sequence[str]) -> None:
        write_text(self._root / path, "".join(f"{line}\n" for line in lines))


def _box(fields: Sequence[str], width: int, height: int, *, clip: bool) -> Box:
    given = f"box {' '.join(fields)}"
    x0, y0, x1, y1 = (corner(field, f"a corner of {given}") for field in fields)
    return checked_box((x0, y0, x1, y1), width, height, clip=clip, given=given)


def _mapped(path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for line in list_lines(path):
        synset, _, words = line.partition(" ")
        if synset in names:
            raise InputRejected(f"{path}: {synset} is there twice; remove a line")
        names[synset] = f"{synset} {words.split(',')[0]}".strip()
    if not names:
        raise InputRejected(f"{path}: no synsets; it needs a line for each class")
    return names


def _synset_and_words(index: int, name: str) -> tuple[str, str]:
    found = _WITH_SYNSET.fullmatch(name)
    return (found[1], found[2]) if found else (f"n{index:08d}", name)


def _prediction_string(record: Record, synset: str) -> str:
    boxes = record.truth.boxes_xyxy.tolist()
    if not boxes:
        raise ValueError(f"{record.image_id}: no box; images of val need one")
    return " ".join(" ".join([synset, *map(as_text, box)]) for box in boxes)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
