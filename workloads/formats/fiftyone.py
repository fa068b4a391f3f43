"""FiftyOne's `FiftyOneImageDetectionDataset`: labels, and a manifest of where images are.

`labels.json` has, for each image, its boxes as x, y, width and height, shares of the upright image,
with class and score as `label` and `confidence`. The key of an image is its id with nine digits, as
FiftyOne leaves extensions out of keys; `data.json` leads from it to the file, so images stay where
they are. Relative paths in it start at the folder that it is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from workloads.artifacts import atomic_folder
from workloads.detections import Detections
from workloads.formats.base import About, AnnotatedImage, Format
from workloads.formats.json_text import json_bytes


class FiftyOneFormat(Format):
    """FiftyOne's image detection data set: labels with scores, and where the images are."""

    name = "fiftyone"
    path = "fiftyone"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        with (
            atomic_folder(path) as temporary,
            (temporary / "labels.json").open("wb") as labels,
            (temporary / "data.json").open("wb") as manifest,
        ):
            labels.write(b'{"classes":' + json_bytes(about.classes) + b',"labels":{')
            manifest.write(b"{")
            _write_members(images, about, labels, manifest)
            labels.write(b"\n}}\n")
            manifest.write(b"\n}\n")
        return path


def _write_members(
    images: Iterable[AnnotatedImage], about: About, labels: IO[bytes], manifest: IO[bytes]
) -> None:
    before = b"\n"
    for image in images:
        key = before + b'"%09d":' % image.image_id
        labels.write(key + json_bytes(_boxes(image.detections, about.classes)))
        manifest.write(key + json_bytes(about.locate(image.file_name)))
        before = b",\n"


def _boxes(found: Detections, classes: Sequence[str]) -> list[dict[str, Any]]:
    width, height = found.width, found.height
    columns = (found.labels.tolist(), found.boxes_xyxy.tolist(), found.scores.tolist())
    return [
        {
            "label": classes[label],
            "bounding_box": [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
            "confidence": score,
        }
        for label, (x0, y0, x1, y1), score in zip(*columns, strict=True)
    ]
