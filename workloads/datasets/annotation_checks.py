"""Checks of annotations that all readers share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from workloads.datasets.names import alike
from workloads.datasets.remarks import lenient
from workloads.datasets.values import NO_SIZE, TEXT_NUMBER, side
from workloads.errors import ConfigError, InputRejected, NotFound, unknown_name
from workloads.files import is_file, open_text
from workloads.records import Record

MOST_NAMED = 100
"""A message about an unknown class lists the classes if there are no more than these."""
ALIKE = "names of classes that differ in case, blanks or composed letters were taken as the same"
SWAPPED = ": the sides are swapped, as if written height first"
ADVICE = "correct the size and the boxes, or replace the image"


class OtherSize(InputRejected):
    """A stated size is not that of the image.

    Attributes:
        stated: (width, height) in pixels.
    """

    stated: tuple[float, float] = (0, 0)


def check_size(stated: tuple[object, object], width: int, height: int, what: str) -> None:
    """Compare a stated size, (width, height), with that of the upright image.

    A size that is missing, no number, 0 or half is unknown, and is not compared.

    Raises:
        OtherSize: it is another one; the message names `what` states it.
        InputRejected: the reading is strict, and it is unknown or text.
    """
    if stated == (width, height):
        return
    sides = tuple(map(side, stated))
    if any(type(value) is str for value in stated) and all(sides):
        lenient(TEXT_NUMBER, f"{what} has a size of text, {stated}; write numbers")
    if sides[0] is None or sides[1] is None:
        lenient(NO_SIZE, f"{what} says {_by(stated)}; correct the size")
    elif sides != (width, height):
        error = OtherSize(
            f"{what} says {_by(sides)}, the upright image is {width}x{height}"
            f"{SWAPPED if sides == (height, width) else ''}; {ADVICE}"
        )
        error.stated = (sides[0], sides[1])
        raise error


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Put the name of a file before the reason why what it says cannot be used."""
    try:
        yield
    except InputRejected as error:
        error.args = (f"{file}: {error}",)
        raise


def class_index(name: str, classes: Sequence[str]) -> int:
    """The position of a class.

    A name that looks the same but for its case, its blanks or composed letters is that class.

    Raises:
        InputRejected: it is not in the list; the message has the nearest match of a short one.
    """
    if name in classes:
        return classes.index(name)
    unknown = InputRejected(
        f"unknown class '{name}', none of the {len(classes)}; correct it"
        if len(classes) > MOST_NAMED
        else unknown_name("class", name, classes)
    )
    found = [at for at, known in enumerate(classes) if alike(known) == alike(name)]
    if len(found) != 1 or not name:
        raise unknown
    lenient(ALIKE, unknown)
    return found[0]


def _by(sides: tuple[object, ...]) -> str:
    return "x".join(f"{side:g}" if isinstance(side, float) else f"{side}" for side in sides)


def list_lines(path: Path) -> Iterator[str]:
    """The lines of a list that are not blank, stripped, one at a time.

    Bytes that are no UTF-8, and zero bytes, become U+FFFD: such a line names no file, so one bad
    line is quarantined and does not end the list.

    Raises:
        NotFound: there is no such file.
    """
    if not is_file(path):
        raise NotFound(f"{path}: no such list; the layout needs it")
    with open_text(path, encoding="utf-8-sig", errors="replace") as stream:
        for line in stream:
            if stripped := line.replace("\0", "\ufffd").strip():
                yield stripped


def names_of(path: Path) -> tuple[str, ...]:
    """Names of classes, one on each line of a file.

    Raises:
        NotFound: there is no such file.
        ConfigError: it has no name, or one twice.
    """
    names = tuple(list_lines(path))
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(f"{path}: class name '{name}' is there twice; give each once")
    if not names:
        raise ConfigError(f"{path}: no class names; give one on each line")
    return names


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
