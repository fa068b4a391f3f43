"""Checks of annotations that all readers share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from workloads.errors import InputRejected, NotFound, unknown_name
from workloads.records import Record

Box = tuple[float, float, float, float]

MOST_NAMED = 100
"""A message about an unknown class lists the classes if there are no more than these."""


def checked_box(box: Box, width: int, height: int, *, clip: bool, given: str = "") -> Box:
    """A half-open box that lies in the upright image.

    Args:
        box: x0, y0, x1, y1 in pixels, half-open.
        clip: cut what reaches beyond the image instead of refusing it.
        given: the box as its file has it, for the message.

    Raises:
        InputRejected: inverted, empty, or outside the image.
    """
    x0, y0, x1, y1 = box
    given = given or f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g})"
    if clip:
        x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)
    if not (x0 < x1 and y0 < y1):
        raise InputRejected(f"{given} is inverted or empty; correct it")
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise InputRejected(
            f"{given} is outside the upright image of {width}x{height}; correct it, or cut such "
            "boxes with the data set's option clip_boxes"
        )
    # Records hold float32, in which a sliver far from the origin has no width.
    if np.float32(x0) == np.float32(x1) or np.float32(y0) == np.float32(y1):
        raise InputRejected(f"{given} is empty in single precision; correct it")
    return x0, y0, x1, y1


def check_size(stated: tuple[object, object], width: int, height: int, what: str) -> None:
    """Compare a stated size, (width, height), with that of the upright image.

    Raises:
        InputRejected: it is another one; the message names `what` states it.
    """
    if stated == (width, height):
        return
    swapped = stated == (height, width)
    hint = ": the sides are swapped, so the boxes may lie in the image as stored, unrotated"
    sides = (f"{side:g}" if isinstance(side, float) else f"{side}" for side in stated)
    raise InputRejected(
        f"{what} says {'x'.join(sides)}, the upright image is {width}x{height}"
        f"{hint if swapped else ''}; correct the size and the boxes, or replace the image"
    )


def number(text: str, what: str) -> float:
    """A finite number.

    Raises:
        InputRejected: `text` is none; the message names `what`.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputRejected(f"{what} is '{text}', not a number; correct it")
    return value


def class_index(name: str, classes: Sequence[str]) -> int:
    """The position of a class.

    Raises:
        InputRejected: it is not in the list; the message has the nearest match of a short one.
    """
    if name not in classes and len(classes) > MOST_NAMED:
        raise InputRejected(f"unknown class '{name}', none of the {len(classes)}; correct it")
    if name not in classes:
        raise InputRejected(unknown_name("class", name, classes))
    return classes.index(name)


def list_lines(path: Path) -> Iterator[str]:
    """The lines of a list that are not blank, stripped, one at a time.

    Bytes that are no UTF-8, and zero bytes, become U+FFFD: such a line names no file, so one bad
    line is quarantined and does not end the list.

    Raises:
        NotFound: there is no such file.
    """
    if not path.is_file():
        raise NotFound(f"{path}: no such list; the layout needs it")
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        for line in stream:
            if stripped := line.replace("\0", "\ufffd").strip():
                yield stripped


def plain_id(image_id: str) -> str:
    """An id that can be a file name.

    Raises:
        ValueError: it holds a folder or is empty.
    """
    if Path(image_id).name != image_id:
        raise ValueError(f"image id {image_id!r} is not a plain file name")
    return image_id


def word_id(image_id: str) -> str:
    """An id that can be a file name and a word of a list or of a table.

    Raises:
        ValueError: as `plain_id` does, or it holds white space, a comma or a quote.
    """
    if set(image_id) & {",", '"'} or image_id.split() != [image_id]:
        raise ValueError(f"image id {image_id!r} holds white space, a comma or a quote")
    return plain_id(image_id)


def only_label(record: Record) -> int:
    """The class of an image of one class, for layouts that know no others.

    Raises:
        ValueError: another number of labels, a box of another class, or an object that is
            difficult or a crowd.
    """
    truth = record.truth
    classes = {*truth.labels, *truth.difficult_labels, *truth.box_labels.tolist()}
    if len(classes) != 1 or len(truth.labels) != 1:
        raise ValueError(f"{record.image_id}: {len(classes)} classes, the layout has one per image")
    if truth.box_difficult.any() or truth.box_crowd.any():
        raise ValueError(f"{record.image_id}: the layout has no difficult objects and no crowds")
    return truth.labels[0]


def path_fault(path: str) -> str:
    """Reason why a path cannot be a file below the data set's root; empty if it can."""
    parts = PurePosixPath(path)
    if not parts.name or parts.is_absolute() or ".." in parts.parts or "\0" in path:
        return f"{path!r} is not a path below the data set's folder; correct the list"
    return ""
