"""The page of `wsol data inspect`: what is in shards, in one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.pages.base import TASKS, Fact, counted, template
from orchestrator.pages.data.tables import class_tables, fact_rows
from orchestrator.pages.figures import Chart, Line, curves, histograms
from orchestrator.pages.heat_table import together
from orchestrator.pages.panels import Panel, truth_panel
from orchestrator.provenance import version
from workloads.artifacts import write_text
from workloads.images.decode import ImageLimits, decode
from workloads.records import Record
from workloads.shards.quarantine import Reason
from workloads.shards.shards import Shards
from workloads.shards.statistics import Histogram, Inspection, SplitStatistics

MOST_CLASSES = 30
END_CLASSES = 10
MOST_REASONS = 20
_LOG_FROM = 20  # the largest class has so many times the images of the smallest
_AREA_TICKS = {1e-4: "0.01%", 1e-3: "0.1%", 1e-2: "1%", 1e-1: "10%", 1.0: "100%"}
_ASPECT_TICKS = {1 / 8: "1:8", 1 / 4: "1:4", 1 / 2: "1:2", 1.0: "1:1", 2: "2:1", 4: "4:1", 8: "8:1"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One image of the contact sheet."""

    image_id: str
    split: str
    panel: Panel


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Images of one split that are left out for one kind of reason."""

    split: str
    reason: Reason


def write_data_page(
    path: Path,
    inspection: Inspection,
    records: Sequence[Record],
    shards: Shards,
    limits: ImageLimits,
) -> None:
    """Write the page, whole or not at all.

    Args:
        records: images to show.
        shards: those that were inspected.
        limits: what an image may cost.

    Raises:
        InputRejected: an image is over the limits.
    """
    splits = inspection.splits
    left_out = [LeftOut(split.split, reason) for split in splits for reason in split.reasons]
    left_out.sort(key=lambda entry: -entry.reason.count)
    page = template("data/data.html.j2").render(
        dataset=inspection.dataset,
        lead=_lead(inspection),
        names=[split.split for split in splits],
        facts=_facts(inspection),
        rows=fact_rows(splits),
        class_tables=class_tables(inspection, MOST_CLASSES, END_CLASSES),
        class_curve=_class_curve(inspection),
        boxes=_box_charts(splits),
        together=_together(inspection),
        left_out=left_out[:MOST_REASONS],
        more_reasons=max(0, len(left_out) - MOST_REASONS),
        shown=list(_shown(records, inspection.classes, limits)),
        footer=(
            f"shards {shards.folder}",
            f"digest {shards.digest}",
            f"wsol {version()}",
        ),
    )
    write_text(path, page)


def _lead(inspection: Inspection) -> str:
    images = sum(split.read for split in inspection.splits)
    boxes = sum(split.boxes.count for split in inspection.splits)
    return (
        f"{counted(images, 'image', 'images')} of "
        f"{counted(len(inspection.classes), 'class', 'classes')} in "
        f"{counted(len(inspection.splits), 'split', 'splits')}, with "
        f"{counted(boxes, 'box', 'boxes')}"
    )


def _facts(inspection: Inspection) -> list[Fact]:
    splits = inspection.splits
    images = sum(split.read for split in splits)
    boxes = sum(split.boxes.count for split in splits)
    listed = sum(split.listed for split in splits)
    quarantined = sum(split.quarantined for split in splits)
    kinds = len({reason.kind for split in splits for reason in split.reasons})
    reasons = counted(kinds, "kind of reason", "kinds of reasons")
    return [
        Fact("Classes", f"{len(inspection.classes):,}", (TASKS[inspection.task],)),
        Fact("Images", f"{images:,}", (" · ".join(f"{s.read:,} {s.split}" for s in splits),)),
        Fact("Boxes", f"{boxes:,}", (f"{boxes / images:.2f} per image",) if images else ()),
        Fact("Left out", f"{quarantined:,} of {listed:,}", (reasons,) if quarantined else ()),
    ]


def _class_curve(inspection: Inspection) -> Chart | None:
    if len(inspection.classes) <= MOST_CLASSES:
        return None
    counts = [sorted((c.images for c in s.classes), reverse=True) for s in inspection.splits]
    lines = [Line(index, range(1, len(images) + 1), images) for index, images in enumerate(counts)]
    log = any(images[0] > _LOG_FROM * images[-1] for images in counts)
    title = "Images per class"
    svg = curves(lines, "classes", title, title, percent=False, epochs=True, log=log)
    by_class = zip(*(split.classes for split in inspection.splits), strict=True)
    empty = sum(not any(entry.images for entry in entries) for entries in by_class)
    some = counted(empty, "class has", "classes have")
    note = f" {some} none in any split shown." if empty else ""
    return Chart(svg, f"Classes by falling number of images, in each split by itself.{note}")


def _box_charts(splits: Sequence[SplitStatistics]) -> list[Chart]:
    if not any(split.boxes.count for split in splits):
        return []
    area, aspect = [s.boxes.area for s in splits], [s.boxes.aspect for s in splits]
    return [
        _box_chart(
            area,
            _AREA_TICKS,
            "share of the image's area",
            "Size of the boxes",
            "Share of the split's boxes; bins are even on a log scale, smaller ones in the first.",
        ),
        _box_chart(
            aspect,
            _ASPECT_TICKS,
            "width : height",
            "Shape of the boxes",
            "Share of the split's boxes; longer ones are in the first and the last bin.",
        ),
    ]


def _box_chart(
    found: Sequence[Histogram], ticks: dict[float, str], x_label: str, title: str, caption: str
) -> Chart:
    values = [_shares(histogram) for histogram in found]
    svg = histograms(values, found[0].edges, ticks, x_label, title, f"{title} by {x_label}")
    return Chart(svg, caption)


def _shares(histogram: Histogram) -> list[float] | None:
    total = sum(histogram.counts)
    return [count / total for count in histogram.counts] if total else None


def _together(inspection: Inspection) -> dict[str, Any] | None:
    """Co-occurrence in the split with most images; the others should be alike."""
    first = inspection.splits[0] if inspection.splits else None
    if first is None or first.cooccurrence is None:
        return None
    return {"split": first.split, "table": together(inspection.classes, first.cooccurrence)}


def _shown(
    records: Sequence[Record], classes: Sequence[str], limits: ImageLimits
) -> Iterator[Shown]:
    for record in records:
        panel = truth_panel(decode(record.image, limits), record.truth, classes, "image")
        yield Shown(record.image_id, record.split, panel)
