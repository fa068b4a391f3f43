"""Boxes from a labelling tool beside data that has labels already: a COCO file of a few images."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from workloads.artifacts import write_text
from workloads.datasets.json_arrays import read_arrays
from workloads.datasets.names import shown
from workloads.errors import InputRejected, NotFound
from workloads.files import is_file
from workloads.records import Record

NamedBox = tuple[str, list[float], bool]
"""Class, box as x, y, width, height in pixels (continuous), and whether it is a crowd."""

_KEYS = {
    "images": frozenset(("id", "file_name", "width", "height")),
    "annotations": frozenset(("id", "image_id", "category_id", "bbox", "iscrowd")),
    "categories": frozenset(("id", "name")),
}


@dataclass(slots=True)
class BoxedImage:
    """One image of a boxes file.

    Attributes:
        file: its path as the file has it.
        size: width and height that are stated; None without.
        boxes: as they are stated, unchecked.
    """

    file: str
    size: tuple[int, int] | None = None
    boxes: list[NamedBox] = field(default_factory=list)


def read_boxes(path: Path) -> list[BoxedImage]:
    """The images of a COCO file, in its order.

    Raises:
        NotFound: there is no such file.
        InputRejected: it is not such a file, or an annotation has no image, no category or no
            four numbers. Names the file and the annotation.
    """
    if not is_file(path):
        raise NotFound(f"{path}: no such file of boxes; give a COCO file, as labelling tools write")
    entries: dict[str, list[dict[str, Any]]] = {name: [] for name in _KEYS}
    try:
        for array, entry in read_arrays(path, _KEYS):
            entries[array].append(entry)
        return _joined(**entries)
    except InputRejected as error:
        raise InputRejected(f"{path}: {error}") from None


def match_images(boxed: Sequence[BoxedImage], paths: Sequence[str]) -> dict[int, int | str]:
    """Index of each boxed image to that of its image, or to why it has none.

    The file may name an image by its path or by the end of it, and may put folders before it
    that the data do not have (as tools that upload images do).

    Args:
        paths: of the images, relative to the root of the data.
    """
    parts = [PurePosixPath(shown(path)).parts for path in paths]
    by_name: dict[str, list[int]] = defaultdict(list)
    for index, own in enumerate(parts):
        if own:
            by_name[own[-1]].append(index)
    folders = {folder for own in parts for folder in own[:-1]}
    return {n: _match(image.file, parts, by_name, folders) for n, image in enumerate(boxed)}


def write_boxes(path: Path, classes: Sequence[str], records: Iterable[tuple[str, Record]]) -> None:
    """Write the boxes of records, each with the path of its image, as such a file."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (file, record) in enumerate(records, start=1):
        size = {"width": record.width, "height": record.height}
        images.append({"id": number, "file_name": file, **size})
        truth = record.truth
        boxes = zip(
            truth.boxes_xyxy.tolist(), truth.box_labels.tolist(), truth.box_crowd.tolist(),
            strict=True,
        )  # fmt: skip
        annotations += [
            {
                "id": len(annotations) + n,
                "image_id": number,
                "category_id": label + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": int(crowd),
            }
            for n, ((x0, y0, x1, y1), label, crowd) in enumerate(boxes, start=1)
        ]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    write_text(path, json.dumps(document, ensure_ascii=False))


def _joined(
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    categories: list[dict[str, Any]],
) -> list[BoxedImage]:
    names = {str(entry.get("id")): entry.get("name") for entry in categories}
    by_id: dict[str, BoxedImage] = {}
    for entry in images:
        if not isinstance(entry.get("file_name"), str):
            raise InputRejected(f"image {entry.get('id')!r} has no file_name; correct it")
        by_id[str(entry.get("id"))] = BoxedImage(entry["file_name"], _size(entry))
    if len(by_id) < len(images):
        raise InputRejected("two images have one id; give each its own")
    for entry in annotations:
        image = by_id.get(str(entry.get("image_id")))
        name = names.get(str(entry.get("category_id")))
        if image is None or not isinstance(name, str):
            what = "image" if image is None else "category"
            raise InputRejected(
                f"annotation {entry.get('id')!r}: its {what} is not in the file; correct it"
            )
        image.boxes.append((shown(name), _four(entry), entry.get("iscrowd") in (1, True)))
    return list(by_id.values())


def _four(entry: Mapping[str, Any]) -> list[float]:
    box = entry.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box):
        return [float(v) for v in box]
    raise InputRejected(
        f"annotation {entry.get('id')!r}: bbox is {box!r}; give four numbers: x, y, width, height"
    )


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = entry.get("width"), entry.get("height")
    known = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    return (width, height) if known else None  # type: ignore[return-value]


def _match(
    file: str,
    parts: Sequence[tuple[str, ...]],
    by_name: Mapping[str, Sequence[int]],
    folders: set[str],
) -> int | str:
    given = PurePosixPath(shown(file).replace("\\", "/")).parts
    candidates = by_name.get(given[-1], ()) if given else ()
    for start in range(len(given)):
        tail = given[start:]
        found = [n for n in candidates if parts[n] == tail]
        found = found or [n for n in candidates if parts[n][-len(tail) :] == tail]
        if len(found) == 1:
            return found[0]
        if found:
            return f"boxes of '{file}': several images are called that; write the whole path"
        if given[start] in folders:
            break  # that folder is here, the image is not in it
    return f"boxes of '{file}': there is no such image; add it or remove its boxes"
