"""What every reader asks of an annotation before it believes it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from workloads.errors import InputRejected, NotFound, unknown_name

Box = tuple[float, float, float, float]


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
    return x0, y0, x1, y1


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
        InputRejected: it is not in the list; the message has the nearest match.
    """
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
