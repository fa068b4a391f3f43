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
from workloads.datasets.base import Dataset
from workloads.datasets.digit_options import SPLITS, DigitsOptions, SingleDigitsOptions
from workloads.datasets.digit_scenes import draw
from workloads.datasets.voc import VocDataset
from workloads.files import is_file
from workloads.records import Record, Task

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FACTS = "digits.json"
SCHEMA_VERSION = 2


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
    root: Path,
    options: DigitsOptions,
    on_progress: Callable[[int, int], None] | None = None,
    layout: type[Dataset] = Digits,
) -> None:
    """Write the data set to `root`, whole or not at all; a folder that is there is replaced.

    Equal options give equal bytes in every file.

    Args:
        root: the tree to be.
        options: numbers of images and how they are drawn, as `options_for` the layout gives them.
        on_progress: called with (images done, images in all) after each image.
        layout: the real data set whose files are imitated; splits that it lacks are left out.

    Raises:
        OSError: as the file system says; nothing is left behind.
    """
    with atomic_folder(root) as folder:
        names = layout.class_names[: len(CLASSES)] or CLASSES
        layout.write(folder, names, _report(draw_all(options), options, on_progress))
        facts = {
            "schema_version": SCHEMA_VERSION,
            "layout": layout.name,
            "options": options.model_dump(mode="json"),
        }
        write_json(folder / FACTS, facts)


def options_for(layout: type[Dataset], options: DigitsOptions) -> DigitsOptions:
    """The options with what a layout can hold: one class in an image, no difficult objects."""
    changes: dict[str, object] = {}
    if layout.task == "singlelabel":
        changes |= {"groups": (1.0,), "companion": 0.0}
    if not layout.has_difficult:
        changes["difficult"] = 0.0
    return options.model_copy(update=changes)


def draw_all(options: DigitsOptions) -> Iterator[Record]:
    """All images, split by split, drawn one at a time."""
    for split in SPLITS:
        for index in range(options.count(split)):
            yield draw(options, split, index)


def made_with(root: Path) -> tuple[str, DigitsOptions] | None:
    """The layout and options of the digits in a folder; None if `make_digits` did not make it."""
    if not is_file(root / FACTS):
        return None
    facts = read_json(root / FACTS)
    if facts.get("schema_version") != SCHEMA_VERSION:
        return None
    return facts["layout"], DigitsOptions.parse(facts["options"], str(root / FACTS))


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
