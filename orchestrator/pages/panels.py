"""Pictures of single images for pages: an image, and an image with its true boxes."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.images.drawing import fit
from workloads.records import GroundTruth

SIDE = 256  # pixels of the longer side; three panels fit beside each other


_QUALITY = 82


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


def plain_panel(
    image: NDArray[np.uint8], boxes_xyxy: NDArray[np.floating], texts: Sequence[str], alt: str
) -> Panel:
    """A picture with found boxes and nothing else."""
    height, width = image.shape[:2]
    boxes = tuple(box_of(b, width, height, t) for b, t in zip(boxes_xyxy, texts, strict=True))
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
        box_of(box, width, height, name, faint=not required)
        for box, name, required in zip(truth.boxes_xyxy, names, truth.box_required, strict=True)
    )
    notes = _truth_notes(truth, names, [classes[k] for k in truth.labels])
    alt = f"{what} with the true boxes of {notes[0]}" if names else f"{what}: {notes[0]}"
    return Panel(data_uri(image), alt, width, height, truth=boxes, notes=tuple(notes))


def data_uri(image: NDArray[np.uint8]) -> str:
    """An RGB image as WebP, its longer side SIDE pixels."""
    return webp_uri(fit(image, SIDE))


def _truth_notes(truth: GroundTruth, boxes: Sequence[str], labels: Sequence[str]) -> list[str]:
    counted = [name if n == 1 else f"{name} × {n}" for name, n in Counter(boxes).items()]
    notes = [", ".join(counted) or ", ".join(labels) or "nothing annotated"]
    if labels and not boxes:
        notes.append("no box")
    for flags, marked in ((truth.box_difficult, "marked difficult"), (truth.box_crowd, "crowd")):
        if flags.any():
            notes.append(f"{int(flags.sum())} {marked}")
    return notes


def box_of(
    box: NDArray[np.floating], width: int, height: int, text: str = "", *, faint: bool = False
) -> Box:
    """A box in percent of the image, as pages place it."""
    x0, y0, x1, y1 = (float(v) for v in box)
    return Box(
        left=round(100 * x0 / width, 2),
        top=round(100 * y0 / height, 2),
        width=round(100 * (x1 - x0) / width, 2),
        height=round(100 * (y1 - y0) / height, 2),
        text=text,
        faint=faint,
    )


def webp_uri(image: NDArray[np.uint8]) -> str:
    """An image as a URL that holds it, WebP."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    assert done, "OpenCV is built with WebP"
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()
