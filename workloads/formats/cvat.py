"""CVAT for images 1.1: one XML file, for a task that has the images already.

CVAT finds the image of an entry by its name, relative to the root of the task's files. Corners are
pixels of the upright image from 0, rounded to 2 decimals; ids start at 0. CVAT's own place for a
score is an attribute that the task must have been made with, so there is none. Control characters
in a name, which XML does not have, are written as `\\x01`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from workloads.artifacts import atomic_file
from workloads.formats.base import About, AnnotatedImage, Format
from workloads.formats.xml_text import attribute, content


class CvatFormat(Format):
    """CVAT for images 1.1, one XML file, without scores."""

    name = "cvat"
    path = "annotations.cvat.xml"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        with (
            atomic_file(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as out,
        ):
            out.write(_head(about))
            for image in images:
                out.writelines(_image(image, about))
            out.write("</annotations>\n")
        return path


def _head(about: About) -> str:
    labels = "".join(
        f"    <label><name>{content(name)}</name><attributes></attributes></label>\n"
        for name in about.classes
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"  <meta><task><name>{content(about.model)}</name><labels>\n{labels}"
        "  </labels></task></meta>\n"
    )


def _image(image: AnnotatedImage, about: About) -> Iterator[str]:
    found = image.detections
    yield (
        f'  <image id="{image.image_id - 1}" name={attribute(about.locate(image.file_name))} '
        f'width="{found.width}" height="{found.height}">\n'
    )
    for label, corners in zip(found.labels.tolist(), found.boxes_xyxy.tolist(), strict=True):
        yield _box(about.classes[label], corners)
    yield "  </image>\n"


def _box(label: str, corners: Sequence[float]) -> str:
    x0, y0, x1, y1 = corners
    return (
        f'    <box label={attribute(label)} source="auto" occluded="0" '
        f'xtl="{x0:.2f}" ytl="{y0:.2f}" xbr="{x1:.2f}" ybr="{y1:.2f}" z_order="0"></box>\n'
    )
