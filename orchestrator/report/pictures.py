"""Pictures of a report: small rasters as data URIs; boxes stay vectors that the page draws."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.report.cases import Chosen, boxes_of, map01, parts_of
from workloads.detections import Detections
from workloads.errors import IntegrityError, NotFound
from workloads.images.decode import ImageLimits, decode
from workloads.images.drawing import fit, overlay
from workloads.localization.boxes import best_iou_per_box
from workloads.models.card import ModelCard
from workloads.predictions.store import Prediction, read_part
from workloads.records import GroundTruth, Record
from workloads.shards.read import row_groups

SIDE = 256  # pixels of the longer side; three panels fit beside each other
_QUALITY = 82

T = TypeVar("T", Record, Prediction)


@dataclass(frozen=True, slots=True)
class Box:
    """A box in percent of the picture, with the text that stands at it."""

    left: float
    top: float
    width: float
    height: float
    text: str = ""
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture with its boxes.

    Attributes:
        uri: data URI.
        found, truth: boxes of a model and of the annotators.
        notes: lines below the picture.
    """

    uri: str
    alt: str
    width: int
    height: int
    found: tuple[Box, ...] = ()
    truth: tuple[Box, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One case: the image with its truth, and one panel per method."""

    kind: str
    image_id: str
    shown: str
    panels: tuple[Panel, ...]


def rows_of(
    chosen: Sequence[Chosen],
    stored: Sequence[tuple[Path, ModelCard]],
    shards: Path,
    split: str,
    limits: ImageLimits,
) -> Iterator[Row]:
    """The pictures of chosen cases, methods in the order of `stored`.

    Raises:
        IntegrityError: shards and predictions do not belong together.
    """
    groups = row_groups(shards, split)
    for item in chosen:
        record = _find(groups[item.case.part].read(), item.case.image_id)
        predictions = [
            _find(read_part(parts_of(folder)[item.case.part]), item.case.image_id)
            for folder, _ in stored
        ]
        image = decode(record.image, limits)
        classes = stored[0][1].classes
        panels = [truth_panel(image, record.truth, classes, "test image")]
        panels += [
            _method_panel(image, prediction, card, item.case.label)
            for prediction, (_, card) in zip(predictions, stored, strict=True)
        ]
        yield Row(item.kind, record.image_id, classes[item.case.label], tuple(panels))


def plain_panel(
    image: NDArray[np.uint8], boxes_xyxy: NDArray[np.floating], texts: Sequence[str], alt: str
) -> Panel:
    """A picture with found boxes and nothing else."""
    height, width = image.shape[:2]
    boxes = tuple(_box(b, width, height, t) for b, t in zip(boxes_xyxy, texts, strict=True))
    return Panel(data_uri(image), alt, width, height, found=boxes)


def truth_panel(
    image: NDArray[np.uint8], truth: GroundTruth, classes: Sequence[str], what: str
) -> Panel:
    """A picture with the true boxes, faint those that a detector need not find.

    Args:
        what: the image in a word or two, for those who do not see it.
    """
    height, width = image.shape[:2]
    names = [classes[int(k)] for k in truth.box_labels]
    boxes = tuple(
        _box(box, width, height, name, faint=not required)
        for box, name, required in zip(truth.boxes_xyxy, names, truth.box_required, strict=True)
    )
    notes = _truth_notes(truth, names, [classes[k] for k in truth.labels])
    alt = f"{what} with the true boxes of {notes[0]}" if names else f"{what}: {notes[0]}"
    return Panel(data_uri(image), alt, width, height, truth=boxes, notes=tuple(notes))


def data_uri(image: NDArray[np.uint8]) -> str:
    """An RGB image as WebP, its longer side SIDE pixels."""
    return _encode(fit(image, SIDE))


def _method_panel(
    image: NDArray[np.uint8], prediction: Prediction, card: ModelCard, label: int
) -> Panel:
    height, width = image.shape[:2]
    found = boxes_of(prediction, card)
    raster, shown = _raster(image, prediction, label)
    notes = _found_notes(found, prediction.truth, card.classes)
    return Panel(
        uri=_encode(raster),
        alt=f"{shown}; found: {', '.join(notes)}",
        width=width,
        height=height,
        found=tuple(
            _box(box, width, height, card.classes[int(k)], faint=int(k) != label)
            for box, k in zip(found.boxes_xyxy, found.labels, strict=True)
        ),
        truth=tuple(_box(b, width, height) for b in prediction.truth.boxes_of(label)),
        notes=tuple(notes),
    )


def _raster(
    image: NDArray[np.uint8], prediction: Prediction, label: int
) -> tuple[NDArray[np.uint8], str]:
    large = fit(image, SIDE)
    try:
        heat = map01(prediction, label)
    except NotFound:  # only the best classes' maps are stored
        return large, "no map of this class is stored"
    size = (large.shape[1], large.shape[0])
    smooth = np.clip(cv2.resize(heat, size, interpolation=cv2.INTER_CUBIC), 0, 1)
    return overlay(large, smooth.astype(np.float32)), "map over the image"


def _truth_notes(truth: GroundTruth, boxes: Sequence[str], labels: Sequence[str]) -> list[str]:
    counted = [name if n == 1 else f"{name} × {n}" for name, n in Counter(boxes).items()]
    notes = [", ".join(counted) or ", ".join(labels) or "nothing annotated"]
    if labels and not boxes:
        notes.append("no box")
    for flags, marked in ((truth.box_difficult, "marked difficult"), (truth.box_crowd, "crowd")):
        if flags.any():
            notes.append(f"{int(flags.sum())} {marked}")
    return notes


def _found_notes(found: Detections, truth: GroundTruth, classes: Sequence[str]) -> list[str]:
    notes = []
    for box, score, k in zip(found.boxes_xyxy, found.scores, found.labels, strict=True):
        true = truth.boxes_of(int(k))
        overlap = f"{best_iou_per_box(box[None], true)[0]:.2f}" if len(true) else "absent"
        notes.append(f"{classes[int(k)]} {score:.2f} · {overlap}")
    return notes or ["nothing found"]


def _box(
    box: NDArray[np.floating], width: int, height: int, text: str = "", *, faint: bool = False
) -> Box:
    x0, y0, x1, y1 = (float(v) for v in box)
    return Box(
        left=round(100 * x0 / width, 2),
        top=round(100 * y0 / height, 2),
        width=round(100 * (x1 - x0) / width, 2),
        height=round(100 * (y1 - y0) / height, 2),
        text=text,
        faint=faint,
    )


def _encode(image: NDArray[np.uint8]) -> str:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    assert done, "OpenCV is built with WebP"
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()


def _find(rows: Iterable[T], image_id: str) -> T:
    for row in rows:
        if row.image_id == image_id:
            return row
    raise IntegrityError(
        f"image {image_id}: not where the predictions say; make shards and predictions again"
    )
