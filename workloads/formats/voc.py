"""Pascal VOC's XML, one file for each image, in the sub-folders of the images.

Corners are whole pixels from 1, the last one included: pixel i of a row, from 0, is i + 1. A box
of [x0, x1) is rounded to the nearest edges of pixels, halves up, and becomes `xmin` = x0 + 1,
`xmax` = x1, each at most half a pixel off; one of which nothing would be left, as it is narrower
than a pixel, becomes the pixel of its middle. The layout has no place for a score.

An image `a/b.jpg` has its file in `Annotations/a/b.xml`; if there is an `a/b.png` too, the second
in the order of the listing has `Annotations/a/b.png.xml`. Control characters in a name, which XML
does not have, are written as `\\x01`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from workloads.artifacts import atomic_folder
from workloads.errors import ConfigError
from workloads.formats.base import About, AnnotatedImage, Format, place_in
from workloads.formats.xml_text import content


class VocFormat(Format):
    """Pascal VOC XML, one file for each image, whole pixels from 1, without scores."""

    name = "voc"
    path = "voc"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        with atomic_folder(path) as temporary:
            (temporary / "Annotations").mkdir()
            for image in images:
                unpublished = _free_place(temporary / "Annotations", image.file_name)
                # XML ends a line as this says on every system, and so does a name in it.
                unpublished.write_text(_annotation(image, about), encoding="utf-8", newline="")
        return path


def whole_pixels(low: float, high: float, size: int) -> tuple[int, int]:
    """The first and the last pixel, from 1, of [low, high) in an image of `size` pixels."""
    first, end = math.floor(low + 0.5), math.floor(high + 0.5)
    if end <= first:
        first = min(math.floor((low + high) / 2), size - 1)
        end = first + 1
    return first + 1, end


def _free_place(folder: Path, file_name: str) -> Path:
    unpublished = place_in(folder, file_name, ".xml")
    if unpublished.exists():
        unpublished = place_in(folder, f"{file_name}.any", ".xml")
    if unpublished.exists():
        raise ConfigError(
            f"{file_name!r}: its annotation would have the name of another's; rename the image, "
            "or choose a format of one file"
        )
    return unpublished


def _annotation(image: AnnotatedImage, about: About) -> str:
    within, _, name = image.file_name.rpartition("/")
    found = image.detections
    lines = [
        "<annotation>",
        f"  <folder>{content(within)}</folder>",
        f"  <filename>{content(name)}</filename>",
        f"  <path>{content(about.locate(image.file_name))}</path>",
        f"  <source><database>{content(about.model)}</database></source>",
        f"  <size><width>{found.width}</width><height>{found.height}</height>"
        "<depth>3</depth></size>",
        "  <segmented>0</segmented>",
    ]
    for label, (x0, y0, x1, y1) in zip(
        found.labels.tolist(), found.boxes_xyxy.tolist(), strict=True
    ):
        xmin, xmax = whole_pixels(x0, x1, found.width)
        ymin, ymax = whole_pixels(y0, y1, found.height)
        lines += [
            "  <object>",
            f"    <name>{content(about.classes[label])}</name>",
            "    <pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>",
            f"    <bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
            f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>",
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])
