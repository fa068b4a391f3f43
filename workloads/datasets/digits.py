"""The embedded data sets: handwritten digits over photographs as VOC trees, made from nothing.

"digits" is the benchmark: several digits, clutter, difficult ones. "single-digits" has one digit
per image; pretraining on it stands in for ImageNet weights. `digit_scenes` draws the images; this
module writes and reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from workloads.artifacts import atomic_folder, read_json, write_json
from workloads.datasets.base import Task
from workloads.datasets.digit_scenes import SPLITS, DigitsOptions, SingleDigitsOptions, draw
from workloads.datasets.voc import VocDataset
from workloads.records import Record

__all__ = [
    "CLASSES",
    "Digits",
    "DigitsOptions",
    "SingleDigits",
    "SingleDigitsOptions",
    "draw_all",
    "made_with",
    "make_digits",
]

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FACTS = "digits.json"
SCHEMA_VERSION = 1


class Digits(VocDataset):
    """Cluttered digits: 10 classes, splits train, val and test. Made by `make_digits`."""

    name = "digits"
    class_names = CLASSES
    drawn_with: ClassVar[type[DigitsOptions]] = DigitsOptions


class SingleDigits(Digits):
    """One digit in each image of 32x32 pixels: 10 classes, for pretraining. Made here too."""

    name = "single-digits"
    task: ClassVar[Task] = "singlelabel"
    drawn_with = SingleDigitsOptions


def make_digits(
    root: Path, options: DigitsOptions, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the data set to `root`, whole or not at all; a folder that is there is replaced.

    Equal options give equal bytes in every file.

    Args:
        root: the VOC tree to be.
        options: numbers of images and how they are drawn.
        on_progress: called with (images done, images in all) after each image.

    Raises:
        OSError: as the file system says; nothing is left behind.
    """
    with atomic_folder(root) as folder:
        Digits.write(folder, CLASSES, _report(draw_all(options), options, on_progress))
        facts = {"schema_version": SCHEMA_VERSION, "options": options.model_dump(mode="json")}
        write_json(folder / FACTS, facts)


def draw_all(options: DigitsOptions) -> Iterator[Record]:
    """All images, split by split, drawn one at a time."""
    for split in SPLITS:
        for index in range(options.count(split)):
            yield draw(options, split, index)


def made_with(root: Path) -> DigitsOptions | None:
    """The options of the digits in a folder; None if `make_digits` did not make it."""
    if not (root / FACTS).is_file():
        return None
    return DigitsOptions.parse(read_json(root / FACTS)["options"], str(root / FACTS))


def _report(
    records: Iterator[Record],
    options: DigitsOptions,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[Record]:
    total = sum(options.count(split) for split in SPLITS)
    for done, record in enumerate(records, start=1):
        yield record
        if on_progress is not None:
            on_progress(done, total)
