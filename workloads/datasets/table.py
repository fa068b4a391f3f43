"""A table of images and labels: CSV, JSON lines or Parquet, as people and Hugging Face write them.

One table, or one for each split (`train.csv`, `test-00000-of-00002.parquet`). A row has the path of
an image, taken from the table's folder, or its bytes (Parquet), and one or many labels; it may have
a split and boxes.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from workloads.artifacts import write_text
from workloads.datasets.annotation_checks import plain_id
from workloads.datasets.base import DatasetOptions, Item, size_lookup
from workloads.datasets.boxes_file import NamedBox, write_boxes
from workloads.datasets.drawn_splits import TRAIN, split_called
from workloads.datasets.names import alike, shown
from workloads.datasets.own_data import BOXES, Entry, Found, OwnData, OwnOptions, write_classes
from workloads.datasets.remarks import remark
from workloads.datasets.table_columns import (
    BoxColumns,
    box_columns,
    class_columns,
    classes_of,
    given_box_columns,
    given_class_columns,
)
from workloads.datasets.table_rows import (
    ENDINGS,
    Row,
    TableFile,
    image_bytes,
    is_missing,
    read_table_file,
)
from workloads.errors import ConfigError, InputRejected, NotFound, unknown_name
from workloads.files import entries, is_file, is_folder
from workloads.images.decode import ImageLimits, check_bytes
from workloads.records import Record, Task
from workloads.storage.addresses import is_address

LABELS = "labels.csv"
IMAGES = "images"
SEPARATOR = "|"
_GUESSES = {
    "image": (
        *("image", "image_path", "file_name", "filename", "path", "file", "filepath", "file_path"),
        *("img", "img_path", "image_file", "image_id", "id"),
    ),
    "label": (
        *("label", "labels", "class", "classes", "category", "categories", "class_name", "target"),
        *("tags", "fine_label"),
    ),
    "split": ("split", "subset", "set", "partition"),
    "boxes": ("boxes", "bboxes", "bbox", "objects"),
}
_BOX_CLASS = ("category", "categories", "label", "labels", "class")


class TableOptions(OwnOptions):
    """Options of a table."""

    image: str | None = Field(
        default=None, description="column of the images' paths or bytes; null: guessed"
    )
    label: str | None = Field(
        default=None,
        description="column of the labels, or columns with 0 or 1 for a class each, with commas "
        "between them; null: guessed",
    )
    split: str | None = Field(
        default=None, description="column of the splits; null: guessed; '': there is none"
    )
    box_column: str | None = Field(
        default=None,
        description="column of boxes, or four with the numbers of one, with commas between them; "
        "null: guessed; '': there is none",
    )
    box_format: Literal["xywh", "xyxy"] = Field(
        default="xywh", description="boxes of that column: with width and height, or two corners"
    )
    separator: str = Field(
        default=SEPARATOR, min_length=1, description="between the labels of a text"
    )
    negative: str | None = Field(
        default=None, description="a label which says that no class is in the image"
    )
    task: Task | None = Field(
        default=None, description="null: singlelabel if every image has one label"
    )
    repeated: Literal["refuse", "merge"] = Field(
        default="refuse",
        description="several rows of one image: refused, or taken together, as with a box in each",
    )
    folder: str = Field(default="", description="folder of the images, from the table's")
    suffix: str = Field(default="", description="put behind each path, such as .jpg")


class Table(OwnData):
    """Your own images in a table (CSV, JSON lines, Parquet): path or bytes, labels, maybe boxes."""

    name = "table"
    task: ClassVar[Task] = "multilabel"
    options_type: ClassVar[type[TableOptions]] = TableOptions
    options: TableOptions

    def __init__(self, root: Path, options: DatasetOptions | None = None) -> None:
        self._given = root
        super().__init__(root, options)

    def read_image(self, item: Item, limits: ImageLimits) -> bytes:
        """The bytes of one image, of its file or of its row.

        Raises:
            InputRejected: too large, the row has none, or this user may not read the file.
        """
        place = json.loads(item.annotation)[3]
        if not place:
            return super().read_image(item, limits)
        file, row, leaf = place
        data = image_bytes(self.root / file, row, leaf)
        if data is None:
            raise InputRejected("the row has no image bytes; add them or remove the row")
        check_bytes(len(data), limits)
        return data

    @classmethod
    def write(cls, root: Path, classes: Sequence[str], records: Iterable[Record]) -> None:
        """Write records as a CSV with paths, labels and splits, and their boxes in one file.

        Lost are masks, difficult flags and whether an object is truncated.

        Raises:
            ValueError: the name of an image cannot be that of a file.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("image", "label", "split"))
        (root / IMAGES).mkdir(parents=True, exist_ok=True)

        def written() -> Iterator[tuple[str, Record]]:
            for record in records:
                file = f"{IMAGES}/{plain_id(record.image_id)}.jpg"
                (root / file).write_bytes(record.image)
                labels = SEPARATOR.join(classes[label] for label in record.truth.labels)
                table.writerow((file, labels, record.split))
                yield file, record

        write_boxes(root / BOXES, classes, written())
        write_text(root / LABELS, text.getvalue())
        write_classes(root, classes)

    def _find(self) -> Found:
        files = _table_files(self._given)
        self.root = self._given.parent if is_file(self._given) else self._given
        reader = [_Reader(read_table_file(path), split, self) for path, split in files]
        entries = [entry for one in reader for entry in one.entries()]
        if not entries:
            raise NotFound(f"{files[0][0]}: the table has no rows; add some")
        joined = self.options.repeated == "merge" or any(one.box_columns for one in reader)
        entries = _merged(entries) if joined else _refused(entries)
        good = [entry for entry in entries if not entry.fault]
        single = all(len(e.labels) == 1 for e in good) and not any(one.lists for one in reader)
        task: Task = self.options.task or ("singlelabel" if single else "multilabel")
        entries = [_one_label(entry) for entry in entries] if task == "singlelabel" else entries
        classes = self._ordered(name for entry in good for name in entry.labels)
        if not classes:
            why = next((f": {entry.fault}" for entry in entries if entry.fault), "")
            raise NotFound(f"{files[0][0]}: no row can be used{why}")
        return Found(entries, classes, task)


class _Reader:
    """One table file as entries.

    Attributes:
        lists: whether a label was given as a list, which may hold many.
    """

    def __init__(self, table: TableFile, split: str, data: Table) -> None:
        options = data.options
        self.table, self.split, self.options, self.root = table, split, options, data.root
        # In a bucket a listing for each folder, not a question for each image.
        self.size = size_lookup(self.root) if is_address(self.root) else partial(_size, self.root)
        self.image = self._column("image", options.image, needed=True)
        self.splits = self._column("split", options.split)
        self.box_columns = self._box_columns()
        self.boxes = "" if self.box_columns else self._column("boxes", options.box_column)
        self.class_columns = self._class_columns()
        needed = not (self.boxes or self.class_columns)
        self.label = (
            "" if self.class_columns else self._column("label", options.label, needed=needed)
        )
        self.lists = False
        paths = [row.values.get(self.image) for row in table.rows]
        # Where the rows hold bytes, their paths are mere names, and some are all alike.
        self.named = len(set(paths)) == len(paths) and not any(map(is_missing, paths))

    def entries(self) -> Iterator[Entry]:
        for row in self.table.rows:
            try:
                yield self._entry(row)
            except InputRejected as error:
                name = str(row.values.get(self.image) or f"{self.table.path.name}#{row.number + 1}")
                yield Entry(name, name, split=self._split(row) or TRAIN, fault=str(error))

    def _box_columns(self) -> BoxColumns | None:
        """Four columns with the numbers of a box, if the table has its boxes so."""
        given, columns = self.options.box_column, self.table.columns
        if given:
            if given in columns:
                return None
            corners = self.options.box_format == "xyxy"
            found = given_box_columns(given, columns, corners=corners)
        elif given is None and not self._column("boxes", None):
            found = box_columns(columns, str(self.table.path))
        else:
            return None
        if found:
            remark(f"boxes were read from the columns {found}, and rows of one image joined")
        return found

    def _class_columns(self) -> tuple[str, ...]:
        """Columns with 0 or 1 for a class each, if the table has its labels so."""
        given, columns = self.options.label, self.table.columns
        if given:
            found = () if given in columns else given_class_columns(given, columns)
        elif self.boxes or self.box_columns or self._column("label", None):
            return ()
        else:
            free = [c for c in columns if c not in (self.image, self.splits)]
            found = class_columns(free, self.table.rows, str(self.table.path))
        if found:
            remark(f"classes were read from the columns {', '.join(found)}, 1 where one is there")
        return found

    def _column(self, role: str, given: str | None, *, needed: bool = False) -> str:
        """The name of a column in the table; "" without one."""
        columns, where = self.table.columns, f"{self.table.path}"
        option = "box_column" if role == "boxes" else role
        if given:
            if given not in columns:
                raise ConfigError(
                    f"{where}: ingest.options.{option}: {unknown_name('column', given, columns)}"
                )
            return given
        folded = {name.casefold(): name for name in reversed(columns)}
        guesses = (folded[name] for name in _GUESSES[role] if name in folded)
        found = "" if given == "" else next(guesses, "")
        if needed and not found:
            raise ConfigError(
                f"{where}: which column has the {role}? Name it with ingest.options.{option} "
                f"(columns: {', '.join(columns) or 'none'})"
            )
        return found

    def _entry(self, row: Row) -> Entry:
        if row.fault:
            raise InputRejected(row.fault)
        split = self._split(row)
        if self.splits and not split:
            raise InputRejected(f"column '{self.splits}' is empty; name a split")
        boxes = self._boxes(row)
        nothing = self.box_columns and boxes is None and is_missing(row.values.get(self.label))
        if nothing:  # a row for an image without any object
            return replace(self._image(row), split=split, boxes=())
        labels = self._labels(row, boxes)
        if boxes is not None:
            boxes = tuple((self._box_class(box, labels), *box[1:]) for box in boxes)
            known = bool(boxes) or not labels
            boxes = boxes if known else None
        return replace(self._image(row), labels=labels, split=split, boxes=boxes)

    def _image(self, row: Row) -> Entry:
        value, leaf = row.values.get(self.image), self.table.bytes_in.get(self.image)
        if leaf:
            file = self.table.path.name
            name = str(value) if self.named else f"{file}#{row.number + 1}"
            place = (self.table.path.relative_to(self.root).as_posix(), row.number, leaf)
            return Entry(name, name, num_bytes=self.table.row_bytes, place=place)
        if is_missing(value):
            raise InputRejected(f"row {row.number + 1} has no image in column '{self.image}'")
        path = _text(value).replace("\\", "/")
        if "://" in path:
            raise InputRejected(f"'{path}' is an address; nothing is downloaded, give a file")
        if "\0" in path:
            raise InputRejected(f"{path!r} cannot be a path; correct it")
        path += self.options.suffix
        file = f"{self.options.folder.rstrip('/')}/{path}" if self.options.folder else path
        return Entry(path, file, num_bytes=self.size(file))

    def _split(self, row: Row) -> str:
        if not self.splits:
            return self.split
        value = row.values.get(self.splits)
        return "" if is_missing(value) else split_called(_text(value)) or shown(_text(value))

    def _labels(self, row: Row, boxes: Sequence[NamedBox] | None) -> tuple[str, ...]:
        if self.class_columns:
            return tuple(shown(name) for name in classes_of(row, self.class_columns))
        if not self.label:
            return tuple(dict.fromkeys(name for name, *_ in boxes or () if name))
        value = row.values.get(self.label)
        if is_missing(value):
            raise InputRejected(f"row {row.number + 1} has no label; give one or remove the row")
        if isinstance(value, str):
            found = [name for name in map(shown, value.split(self.options.separator)) if name]
        elif isinstance(value, list):
            self.lists = True
            found = [self._class(one, self.label) for one in value]
        else:
            found = [self._class(value, self.label)]
        negative = self.options.negative
        return tuple(n for n in dict.fromkeys(found) if negative is None or n != negative)

    def _class(self, value: Any, column: str) -> str:
        """The name of a class that may be given by its number."""
        names = self.table.class_names.get(column, ())
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and names:
            if not 0 <= value < len(names):
                raise InputRejected(f"label {value} has no name among the table's {len(names)}")
            return shown(names[value])
        if is_missing(value) or isinstance(value, dict | list):
            raise InputRejected(f"label {value!r} is not a name; correct it")
        return shown(_text(value))

    def _boxes(self, row: Row) -> tuple[NamedBox, ...] | None:
        """As x, y, width and height; classes that are not stated are ""."""
        if self.box_columns:
            box = self.box_columns.box(row)
            return None if box is None else (("", box, False),)
        value = row.values.get(self.boxes) if self.boxes else None
        if is_missing(value):
            return None
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError:
                raise InputRejected(f"boxes {value!r} are not JSON: [[x, y, w, h], ...]") from None
        boxes = [(self._class_of(one), _numbers(one)) for one in _each(value)]
        corners = self.options.box_format == "xyxy"
        return tuple(
            (name, [x, y, w - x, h - y] if corners else [x, y, w, h], False)
            for name, (x, y, w, h) in boxes
        )

    def _class_of(self, box: Any) -> str:
        given = (
            next((box[k] for k in _BOX_CLASS if k in box), None) if isinstance(box, dict) else None
        )
        return "" if given is None else self._class(given, self.boxes)

    def _box_class(self, box: NamedBox, labels: Sequence[str]) -> str:
        if box[0]:
            return box[0]
        if len(labels) == 1:
            return labels[0]
        raise InputRejected(f"a box has no class, and the image has {len(labels)} labels; name it")


def _table_files(root: Path) -> list[tuple[Path, str]]:
    """The files of a table, each with its split; "" for one of all splits or of none."""
    if is_file(root):
        return [(root, "")]
    if not is_folder(root):
        raise NotFound(f"{root}: no such table; give a file, or a folder that holds one")
    places = (folder for folder in (root, root / "data") if is_folder(folder))
    found = next((files for folder in places if (files := _tables_in(folder))), [])
    if not found:
        raise NotFound(f"{root}: no table there; give a file that ends in {', '.join(ENDINGS)}")
    splits = [split_called(re.split(r"[-_.]", path.stem)[0]) for path in found]
    if all(splits):
        return [(path, split or "") for path, split in zip(found, splits, strict=True)]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ConfigError(f"{root}: several tables ({names}); give one of them as the root")
    return [(found[0], "")]


def _tables_in(folder: Path) -> list[Path]:
    paths = entries(folder)
    return [p for p in paths if p.suffix.lower() in ENDINGS and p.name[0] != "." and is_file(p)]


def _each(value: Any) -> list[Any]:
    """Boxes one by one; Hugging Face has a dictionary of lists instead."""
    if isinstance(value, dict):
        coordinates = value.get("bbox") or value.get("boxes") or []
        classes = next((value[k] for k in _BOX_CLASS if k in value), [None] * len(coordinates))
        pairs = zip(coordinates, classes, strict=False)
        return [{"bbox": box, **({} if c is None else {"category": c})} for box, c in pairs]
    if not isinstance(value, list):
        raise InputRejected(f"boxes are {value!r}; give a list of [x, y, w, h]")
    return [value] if len(value) == 4 and all(isinstance(v, int | float) for v in value) else value


def _numbers(box: Any) -> list[float]:
    values: Any = box.get("bbox", box.get("box")) if isinstance(box, dict) else box
    try:
        x, y, w, h = (float(v) for v in values)
    except (TypeError, ValueError):
        raise InputRejected(f"box {values!r}: give four numbers") from None
    return [x, y, w, h]


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _size(root: Path, file: str) -> int:
    try:
        return (root / file).stat().st_size
    except OSError:
        return 0


def _by_image(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.image_id, []).append(entry)
    return found


def _refused(entries: Sequence[Entry]) -> list[Entry]:
    """Entries of one image that do not agree have a fault; of equal ones ingestion keeps one."""
    faults: dict[str, str] = {}
    for image, same in _by_image(entries).items():
        splits = sorted({entry.split for entry in same})
        labels = {frozenset(map(alike, entry.labels)) for entry in same if not entry.fault}
        if len(splits) > 1:
            faults[image] = f"listed in splits {' and '.join(splits)}; keep it in one"
        elif len(labels) > 1:
            faults[image] = (
                "listed with different labels; give it one row, or ingest.options.repeated=merge"
            )
    return [replace(e, fault=e.fault or faults.get(e.image_id, "")) for e in entries]


def _merged(entries: Sequence[Entry]) -> list[Entry]:
    """One entry for each image, with the labels and boxes of all its rows."""
    merged = []
    for same in _by_image(entries).values():
        labels = tuple(dict.fromkeys(name for entry in same for name in entry.labels))
        known = [entry.boxes for entry in same if entry.boxes is not None]
        boxes = tuple(box for of_row in known for box in of_row) if known else None
        fault = next((entry.fault for entry in same if entry.fault), "")
        splits = sorted({entry.split for entry in same})
        if len(splits) > 1:
            fault = fault or f"listed in splits {' and '.join(splits)}; keep it in one"
        merged.append(replace(same[0], labels=labels, boxes=boxes, fault=fault))
    return merged


def _one_label(entry: Entry) -> Entry:
    if entry.fault or len(entry.labels) == 1:
        return entry
    fault = f"{len(entry.labels)} labels, where each image has one; give one"
    return replace(entry, fault=fault)
