"""Pictures for people: boxes on images, images in a grid.

Shapes: H W size of an image, N boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workloads.images import ImageLimits, decode
from workloads.records import Record

Colour = tuple[int, int, int]

GREEN: Colour = (0, 230, 90)
ORANGE: Colour = (255, 150, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_boxes(
    image: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float32],
    names: Sequence[str],
    colour: Colour = GREEN,
    scale: int = 1,
) -> NDArray[np.uint8]:
    """Draw boxes with their names on an enlarged copy of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes_xyxy: (N, 4) float32 pixels of `image`, half-open.
        names: N texts, drawn at the upper left of their boxes; an empty one draws none.
        colour: RGB of lines and texts.
        scale: how many times larger the result is.

    Returns:
        (H * scale, W * scale, 3) uint8 RGB.
    """
    size = (image.shape[1] * scale, image.shape[0] * scale)
    canvas = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST))
    # Half-open: the last pixel of a box is one before its right and lower border.
    corners = np.rint(boxes_xyxy * scale).astype(int) - np.array([0, 0, 1, 1])
    for (x0, y0, x1, y1), name in zip(corners.tolist(), names, strict=True):
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, 1)
        _write(canvas, name, x0, y0, colour)
    return np.asarray(canvas, dtype=np.uint8)


def grid(images: Sequence[NDArray[np.uint8]], columns: int, gap: int = 4) -> NDArray[np.uint8]:
    """Place (H, W, 3) uint8 images row by row on white, each centred in a cell of equal size.

    Raises:
        ValueError: there are no images, or `columns` is below 1.
    """
    if not images or columns < 1:
        raise ValueError(f"{len(images)} images in {columns} columns; give at least one of each")
    height = max(image.shape[0] for image in images) + gap
    width = max(image.shape[1] for image in images) + gap
    rows = -(-len(images) // columns)
    sheet = np.full((rows * height, min(columns, len(images)) * width, 3), 255, np.uint8)
    for index, image in enumerate(images):
        y = index // columns * height + (height - image.shape[0]) // 2
        x = index % columns * width + (width - image.shape[1]) // 2
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
    return sheet


def contact_sheet(
    records: Iterable[Record], classes: Sequence[str], columns: int = 8, scale: int = 3
) -> Image.Image:
    """Records with their true boxes: green, or orange for difficult objects."""
    return Image.fromarray(grid([_with_truth(r, classes, scale) for r in records], columns))


def _with_truth(record: Record, classes: Sequence[str], scale: int) -> NDArray[np.uint8]:
    truth = record.truth
    image = decode(record.image, ImageLimits())
    names = np.array([classes[label] for label in truth.box_labels], dtype=object)
    hard = truth.box_difficult
    image = draw_boxes(image, truth.boxes_xyxy[~hard], names[~hard].tolist(), GREEN, scale)
    return draw_boxes(image, truth.boxes_xyxy[hard] * scale, names[hard].tolist(), ORANGE)


def _write(canvas: NDArray[np.uint8], text: str, x: int, y: int, colour: Colour) -> None:
    if not text:
        return
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.4, 1)
    x = max(0, min(x, canvas.shape[1] - width))
    y = y - 3 if y - 3 >= height else min(y + height + 3, canvas.shape[0] - 1)
    for ink, thickness in (((0, 0, 0), 3), (colour, 1)):  # an outline keeps it legible
        cv2.putText(canvas, text, (x, y), _FONT, 0.4, ink, thickness, cv2.LINE_AA)
