"""Tables of shards, the same rows for the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.pages.base import percent
from workloads.shards.statistics import Inspection, SplitStatistics, Spread


class Cell(NamedTuple):
    """A value as people read it, and what else there is to say of it."""

    text: str
    more: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.more})" if self.more else self.text


_NONE = Cell("–")
_NOTHING = ("0", "0.0 %", _NONE.text)


@dataclass(frozen=True, slots=True)
class FactRow:
    """One fact about all splits; `explained` is what the title does not say."""

    title: str
    explained: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class ClassCell:
    """A class in one split; `width` is its share of that split's largest class, in percent."""

    images: int
    boxes: int
    width: float


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Some classes, by name, with one cell per split."""

    title: str
    rows: tuple[tuple[str, tuple[ClassCell, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Fact:
    title: str
    explained: str
    show: Callable[[SplitStatistics], Cell]
    rare: bool = False  # left out where it is "0" in all splits


def _facts() -> Iterator[_Fact]:
    yield _Fact("Listed", "images on the split's list", lambda s: _count(s.listed))
    yield _Fact("Read", "in the shards", lambda s: _count(s.read))
    yield _Fact("Quarantined", "left out, with a reason", lambda s: _count(s.quarantined))
    yield _Fact("Width", "median and range, pixels", lambda s: _spread(s.images.width))
    yield _Fact("Height", "median and range, pixels", lambda s: _spread(s.images.height))
    yield _Fact("Portrait", "higher than wide", lambda s: _percent(s.images.portrait))
    yield _Fact("Without labels", "nothing is known", lambda s: _count(s.images.without_labels))
    yield _Fact(
        "Labels, no box",
        "what is there, but not where",
        lambda s: _count(s.images.labelled_without_boxes),
    )
    yield _Fact("With mask", "of the class", lambda s: _count(s.images.with_mask), rare=True)
    yield _Fact(
        "Blacklisted",
        "localization is not judged",
        lambda s: _count(s.images.blacklisted),
        rare=True,
    )
    yield _Fact("Boxes", "of single objects", lambda s: _count(s.boxes.count))
    yield _Fact("Boxes per image", "mean", _per_image)
    yield _Fact(
        "Difficult boxes", "found rightly, not missed", lambda s: _percent(s.boxes.difficult)
    )
    yield _Fact(
        "Truncated boxes", "the object is larger", lambda s: _percent(s.boxes.truncated), rare=True
    )
    yield _Fact("Crowds", "boxes over groups", lambda s: _count(s.boxes.crowds), rare=True)
    yield _Fact(
        "Small boxes", "below 32² pixels, as COCO has it", lambda s: _part(s, s.boxes.small)
    )
    yield _Fact("Medium boxes", "below 96² pixels", lambda s: _part(s, s.boxes.medium))
    yield _Fact("Large boxes", "96² pixels and more", lambda s: _part(s, s.boxes.large))


def fact_rows(splits: Sequence[SplitStatistics]) -> list[FactRow]:
    """Counts and sizes by split; facts that few data sets have only where they hold."""
    rows = []
    for fact in _facts():
        cells = tuple(fact.show(split) for split in splits)
        if not fact.rare or any(cell.text not in _NOTHING for cell in cells):
            rows.append(FactRow(fact.title, fact.explained, cells))
    return rows


def class_tables(inspection: Inspection, most: int, ends: int) -> list[ClassTable]:
    """Images and boxes by class: all of them, or those with most and with fewest images.

    Args:
        most: all classes are shown if there are no more than these.
        ends: how many are shown of either end if there are more.
    """
    labels = range(len(inspection.classes))
    if len(labels) <= most:
        return [_class_table("All classes", labels, inspection)]
    totals = [sum(split.classes[k].images for split in inspection.splits) for k in labels]
    ranked = sorted(labels, key=lambda label: (-totals[label], label))
    return [
        _class_table(f"The {ends} classes with most images", ranked[:ends], inspection),
        _class_table(f"The {ends} with fewest", ranked[-ends:], inspection),
    ]


def _class_table(title: str, labels: Sequence[int], inspection: Inspection) -> ClassTable:
    return ClassTable(
        title,
        tuple(
            (inspection.classes[label], tuple(_cell(split, label) for split in inspection.splits))
            for label in labels
        ),
    )


def _cell(split: SplitStatistics, label: int) -> ClassCell:
    largest = max(entry.images for entry in split.classes) or 1
    entry = split.classes[label]
    return ClassCell(entry.images, entry.boxes, round(100 * entry.images / largest, 1))


def _count(count: int) -> Cell:
    return Cell(f"{count:,}")


def _spread(spread: Spread | None) -> Cell:
    if spread is None:
        return _NONE
    return Cell(f"{spread.median:,.15g}", f"{spread.smallest:,} to {spread.largest:,}")


def _per_image(split: SplitStatistics) -> Cell:
    mean = split.boxes.per_image
    return _NONE if mean is None else Cell(f"{mean:.2f}", f"at most {split.boxes.most:,}")


def _part(split: SplitStatistics, count: int) -> Cell:
    whole = split.boxes.count
    return Cell(f"{percent(count / whole)} %", f"{count:,}") if whole else _NONE


def _percent(value: float | None) -> Cell:
    return _NONE if value is None else Cell(f"{percent(value)} %")
