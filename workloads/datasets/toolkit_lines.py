"""Lines of the evaluation toolkit's metadata: what they say of one image, in both directions.

Every line begins with the image's id and a comma. A line of `localization.txt` goes on with the
corners of a box (CUB, ILSVRC), taken as half-open as they stand, for the toolkit compares them
with x, y, x + w, y + h; or (OpenImages30k) with the paths of one object's mask and of the ignore
mask, which only one line of an image has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.annotation_checks import (
    check_size,
    list_lines,
    path_fault,
)
from workloads.datasets.base import NO_FILE
from workloads.datasets.boxes import Box, checked_box, corner
from workloads.datasets.pascal_xml import as_text
from workloads.errors import InputRejected
from workloads.files import open_bytes
from workloads.images.decode import ImageLimits, decode_grey
from workloads.images.masks import combine_masks

_WHOLE = re.compile("[0-9]{1,9}")
_BOX, _MASK = 4, 2  # fields after the id


class Places(NamedTuple):
    """Locations of an image's objects: boxes (four fields each), or masks, or unknown."""

    boxes: list[list[str]]
    masks: list[str]
    ignore: str  # empty if there is none


def by_image(path: Path) -> dict[str, str]:
    """Image id to the rest of its line; of several lines, the rests with newlines between.

    Raises:
        NotFound: there is no such file.
    """
    said: dict[str, str] = {}
    for line in list_lines(path):
        image, _, rest = line.partition(",")
        image, rest = image.strip(), rest.strip()
        said[image] = f"{said[image]}\n{rest}" if image in said else rest
    return said


def whole(text: str) -> int | None:
    """A whole number of up to nine digits, without a sign; None if it is something else."""
    return int(text) if _WHOLE.fullmatch(text) else None


def read_label(said: str | None, num_classes: int) -> int:
    """The class of an image.

    Raises:
        InputRejected: no line, several, or none of `num_classes` classes.
    """
    if said is None:
        raise InputRejected("image without a label: no line for it; add one or unlist the image")
    label = whole(_only(said).strip())
    if label is None or label >= num_classes:
        raise InputRejected(f"class label is '{said[:40]}' (allowed: 0 to {num_classes - 1})")
    return label


def check_stated_size(said: str, width: int, height: int) -> None:
    """Compare what is said with the size of the upright image.

    Raises:
        InputRejected: another size, or none.
    """
    sides = [whole(side.strip()) for side in _only(said).split(",")]
    if len(sides) != 2 or None in sides:
        raise InputRejected(f"size is '{said}'; give width,height")
    check_size((sides[0], sides[1]), width, height, "the line")


def read_places(said: str) -> Places:
    """The boxes or masks of an image, as its lines have them.

    Raises:
        InputRejected: lines of both kinds or of none, several ignore masks, or no mask.
    """
    lines = [[field.strip() for field in line.split(",")] for line in said.split("\n")]
    kinds = {len(fields) for fields in lines}
    if kinds == {_BOX}:
        return Places(lines, [], "")
    if kinds == {_MASK}:
        masks, ignores = [mask for mask, _ in lines], [ignore for _, ignore in lines if ignore]
        if len(ignores) > 1 or not all(masks):
            raise InputRejected("give a mask on each line of an image, an ignore mask on one only")
        return Places([], masks, "".join(ignores))
    shown = " and ".join(said.split("\n")[:2])
    raise InputRejected(
        f"cannot read '{shown}'; give x0,y0,x1,y1 on all lines of an image, or mask,ignore"
    )


def read_box(fields: Sequence[str], width: int, height: int, *, clip: bool) -> Box:
    """One box of an image whose upright size is width x height.

    Raises:
        BadBox: no numbers, or as `checked_box`.
    """
    names = ("x0", "y0", "x1", "y1")
    x0, y0, x1, y1 = (corner(field, name) for field, name in zip(fields, names, strict=True))
    given = f"box {','.join(fields)}"
    return checked_box((x0, y0, x1, y1), width, height, clip=clip, given=given)


def read_masks(folder: Path, places: Places) -> NDArray[np.uint8]:
    """(H, W) uint8 mask of an image's class, as `workloads.images.masks` has it.

    Raises:
        InputRejected: a mask is missing, no image, or too large.
    """
    foregrounds = [_grey(folder, mask) for mask in places.masks]
    ignore = _grey(folder, places.ignore) if places.ignore else None
    return combine_masks(foregrounds, ignore)


def box_lines(image: str, boxes: Sequence[Sequence[float]]) -> list[str]:
    """Inverse of `read_places` for boxes. The toolkit itself reads whole numbers only."""
    return [",".join([image, *map(as_text, box)]) for box in boxes]


def line_id(image: str) -> str:
    """An id that lines can begin with and that is a path.

    Raises:
        ValueError: it has a comma, a line break, outer blanks, or leads out of a folder.
    """
    if image != image.strip() or any(mark in image for mark in ",\r\n") or path_fault(image):
        raise ValueError(f"image id {image!r} cannot stand in lists of paths")
    return image


def _only(said: str) -> str:
    lines = set(said.split("\n"))
    if len(lines) > 1:
        raise InputRejected(f"contradictory lines: {' and '.join(sorted(lines))}; keep one")
    return lines.pop()


def _grey(folder: Path, name: str) -> NDArray[np.uint8]:
    limits = ImageLimits()
    try:
        with open_bytes(folder / name) as stream:
            return decode_grey(stream.read(limits.max_bytes + 1), limits)
    except InputRejected as error:
        raise type(error)(f"mask '{name}': {error}") from None
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        raise InputRejected(f"mask '{name}': no such file; add it or unlist the image") from None
