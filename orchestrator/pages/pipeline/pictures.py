"""Pictures of a report: small rasters as data URIs; boxes stay vectors that the page draws."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.pages.panels import SIDE, Panel, box_of, truth_panel, webp_uri
from orchestrator.pages.pipeline.cases import Chosen, boxes_of, map01, parts_of
from workloads.detections import Detections
from workloads.errors import IntegrityError, NotFound
from workloads.images.decode import ImageLimits, decode
from workloads.images.drawing import fit, overlay
from workloads.localization.boxes import best_iou_per_box
from workloads.models.card import ModelCard
from workloads.predictions.store import Prediction, read_part
from workloads.records import GroundTruth, Record
from workloads.shards.shards import Shards

T = TypeVar("T", Record, Prediction)


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
    shards: Shards,
    split: str,
    limits: ImageLimits,
) -> Iterator[Row]:
    """The pictures of chosen cases, methods in the order of `stored`.

    Raises:
        IntegrityError: shards and predictions do not belong together.
    """
    groups = shards.row_groups(split)
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


def _method_panel(
    image: NDArray[np.uint8], prediction: Prediction, card: ModelCard, label: int
) -> Panel:
    height, width = image.shape[:2]
    found = boxes_of(prediction, card)
    raster, shown = _raster(image, prediction, label)
    notes = _found_notes(found, prediction.truth, card.classes)
    return Panel(
        uri=webp_uri(raster),
        alt=f"{shown}; found: {', '.join(notes)}",
        width=width,
        height=height,
        found=tuple(
            box_of(box, width, height, card.classes[int(k)], faint=int(k) != label)
            for box, k in zip(found.boxes_xyxy, found.labels, strict=True)
        ),
        truth=tuple(box_of(b, width, height) for b in prediction.truth.boxes_of(label)),
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


def _found_notes(found: Detections, truth: GroundTruth, classes: Sequence[str]) -> list[str]:
    notes = []
    for box, score, k in zip(found.boxes_xyxy, found.scores, found.labels, strict=True):
        true = truth.boxes_of(int(k))
        overlap = f"{best_iou_per_box(box[None], true)[0]:.2f}" if len(true) else "absent"
        notes.append(f"{classes[int(k)]} {score:.2f} · {overlap}")
    return notes or ["nothing found"]


def _find(rows: Iterable[T], image_id: str) -> T:
    for row in rows:
        if row.image_id == image_id:
            return row
    raise IntegrityError(
        f"image {image_id}: not where the predictions say; make shards and predictions again"
    )
