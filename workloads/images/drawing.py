"""Pictures for people: boxes on images, images in a grid.

Shapes: H W size of an image, N boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from workloads.errors import one_line
from workloads.images.decode import ImageLimits, decode
from workloads.images.fonts import lettering
from workloads.records import Record

Colour = tuple[int, int, int]

GREEN: Colour = (0, 230, 90)
ORANGE: Colour = (255, 150, 0)
_GREY: Colour = (70, 70, 70)
_PLATE = (0, 0, 0, 170)  # behind texts, so that they are legible on everything
_TEXT_PX = 11
_COLOURS = "inferno"  # perceptually uniform, and black where the map is low
_DASH_PX, _GAP_PX = 5, 3
_LIMITS = ImageLimits()


def draw_boxes(
    image: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float32],
    names: Sequence[str],
    colour: Colour = GREEN,
    *,
    dashed: bool = False,
) -> NDArray[np.uint8]:
    """Draw boxes with their names on a copy of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes_xyxy: (N, 4) float32 pixels of `image`, half-open.
        names: N texts, drawn at the upper left of their boxes; an empty one draws none.
        colour: RGB of lines and texts.
        dashed: lines with gaps.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas, "RGBA")
    # Half-open: the last pixel of a box is one before its right and lower border.
    corners = np.rint(boxes_xyxy).astype(int).reshape(-1, 4) - np.array([0, 0, 1, 1])
    for (x0, y0, x1, y1), name in zip(corners.tolist(), names, strict=True):
        for line in _sides(x0, y0, max(x0, x1), max(y0, y1), dashed=dashed):
            pen.line(line, fill=colour)
        _write(pen, name, (x0, y0), canvas.size, colour)
    return np.array(canvas, dtype=np.uint8)


def fit(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(H, W, 3) to a longer side of about `side`: small images grow by a whole factor."""
    longer = max(image.shape[:2])
    factor = max(1, side // longer) if longer <= side else side / longer
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=smooth), dtype=np.uint8)


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image in grey under the colours of its map, which cover more where it is hot.

    Args:
        image: (H, W, 3) uint8 RGB.
        heat: (H, W) float32 in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB.
    """
    colours = mpl.colormaps[_COLOURS](heat)[..., :3] * 255
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float64)
    opacity = 0.25 + 0.5 * heat[..., None]
    return np.asarray(grey * (1 - opacity) + colours * opacity, dtype=np.uint8)


def grid(images: Sequence[NDArray[np.uint8]], columns: int, gap: int = 4) -> NDArray[np.uint8]:
    """Place (H, W, 3) uint8 images row by row on white, each centred in its cell.

    Columns are as wide as the widest image of all, rows as high as the highest image in them.

    Raises:
        ValueError: there are no images, or `columns` is below 1.
    """
    if not images or columns < 1:
        raise ValueError(f"{len(images)} images in {columns} columns; give at least one of each")
    width = max(image.shape[1] for image in images) + gap
    rows = [images[at : at + columns] for at in range(0, len(images), columns)]
    return np.concatenate([_row(row, len(rows[0]) * width, width, gap) for row in rows])


def _row(
    images: Sequence[NDArray[np.uint8]], whole: int, width: int, gap: int
) -> NDArray[np.uint8]:
    """One row of a grid `whole` pixels wide, in cells of `width`."""
    height = max(image.shape[0] for image in images) + gap
    row = np.full((height, whole, 3), 255, np.uint8)
    for index, image in enumerate(images):
        y = (height - image.shape[0]) // 2
        x = index * width + (width - image.shape[1]) // 2
        row[y : y + image.shape[0], x : x + image.shape[1]] = image
    return row


def contact_sheet(
    records: Iterable[Record],
    classes: Sequence[str],
    columns: int = 8,
    side: int = 240,
    *,
    captions: bool = False,
    limits: ImageLimits = _LIMITS,
) -> Image.Image:
    """Records with their true boxes; dashed and orange: difficult objects and crowds.

    Args:
        records: at least one.
        classes: names of the class indices.
        side: longer side of each image, as `fit` has it.
        captions: write the id below each image.
        limits: largest image that is decoded.

    Raises:
        ValueError: no records.
        InputRejected: an image is over the limits.
    """
    cells = []
    for record in records:
        cell = _with_truth(record, classes, side, limits)
        cells.append(captioned(cell, record.image_id) if captions else cell)
    return Image.fromarray(grid(cells, columns))


def captioned(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """The image with a line of text below it, which loses its beginning if it is too long."""
    height, width = image.shape[:2]
    canvas = Image.new("RGB", (width, height + _TEXT_PX + 5), "white")
    canvas.paste(Image.fromarray(image))
    font, shown = lettering(one_line(text), _TEXT_PX)
    while shown and font.getlength(shown) > width:  # ids differ at their ends
        shown = "…" + shown.lstrip("…")[1:] if len(shown) > 1 else ""
    ImageDraw.Draw(canvas).text((0, height + 1), shown, font=font, fill=_GREY)
    return np.array(canvas, dtype=np.uint8)


def _with_truth(
    record: Record, classes: Sequence[str], side: int, limits: ImageLimits
) -> NDArray[np.uint8]:
    truth = record.truth
    image = fit(decode(record.image, limits), side)
    scale = np.array([image.shape[1] / record.width, image.shape[0] / record.height] * 2)
    boxes = (truth.boxes_xyxy * scale).astype(np.float32)
    names = np.array([classes[label] for label in truth.box_labels], dtype=object)
    hard = ~truth.box_required
    if not len(boxes):  # only the classes are known
        image = _with_text(image, ", ".join(classes[label] for label in truth.labels))
    image = draw_boxes(image, boxes[~hard], names[~hard].tolist(), GREEN)
    return draw_boxes(image, boxes[hard], names[hard].tolist(), ORANGE, dashed=True)


def _with_text(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    canvas = Image.fromarray(image)
    _write(ImageDraw.Draw(canvas, "RGBA"), text, (0, 0), canvas.size, GREEN)
    return np.array(canvas, dtype=np.uint8)


def _sides(
    x0: int, y0: int, x1: int, y1: int, *, dashed: bool
) -> Iterator[tuple[int, int, int, int]]:
    """Lines along a rectangle, both ends included."""
    for start, stop in _dashes(x0, x1, dashed=dashed):
        yield start, y0, stop, y0
        yield start, y1, stop, y1
    for start, stop in _dashes(y0, y1, dashed=dashed):
        yield x0, start, x0, stop
        yield x1, start, x1, stop


def _dashes(start: int, stop: int, *, dashed: bool) -> Iterator[tuple[int, int]]:
    if not dashed:
        yield start, stop
        return
    for begin in range(start, stop + 1, _DASH_PX + _GAP_PX):
        yield begin, min(begin + _DASH_PX - 1, stop)


def _write(
    pen: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[int, int],
    size: tuple[int, int],
    colour: Colour,
) -> None:
    """Text above a corner, or below it where there is no room above."""
    text = one_line(text)  # a line break is nothing that Pillow could lay out
    if not text:
        return
    font, text = lettering(text, _TEXT_PX)
    width, height = round(font.getlength(text)) + 2, _TEXT_PX + 2
    x = max(0, min(corner[0], size[0] - width))
    y = corner[1] - height
    if y < 0:
        y = max(0, min(corner[1] + 1, size[1] - height))
    pen.rectangle((x, y, x + width - 1, y + height - 1), fill=_PLATE)
    pen.text((x + 1, y - 1), text, font=font, fill=colour)
