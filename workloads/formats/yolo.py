"""YOLO's labels: one text file for each image, and the `data.yaml` that trainers ask for.

A line is the class index, from 0 in the order of the model's classes, and the box's centre, width
and height as shares of the upright image, rounded to 8 decimals. A sixth number would be read as a
result and not as a label, so there is no score. An image without boxes has an empty file.

Trainers look for the labels of `images/a/b.jpg` in `labels/a/b.txt`: link or copy the annotated
folder as `images` beside `labels`. The extension is not part of that rule, so two images of a
folder that differ in nothing else would share their labels; they are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from workloads.artifacts import atomic_folder
from workloads.detections import Detections
from workloads.errors import ConfigError
from workloads.formats.base import About, AnnotatedImage, Format, place_in


class YoloFormat(Format):
    """YOLO text labels as shares of the image, and data.yaml, without scores."""

    name = "yolo"
    path = "yolo"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        with atomic_folder(path) as temporary:
            (temporary / "labels").mkdir()
            for image in images:
                unpublished = place_in(temporary / "labels", image.file_name, ".txt")
                if unpublished.exists():
                    raise ConfigError(
                        f"{image.file_name!r}: another image of its folder differs in the "
                        "extension alone, and YOLO has one label file for both; rename one, or "
                        "choose another format"
                    )
                unpublished.write_text("".join(_lines(image.detections)), encoding="ascii")
            (temporary / "data.yaml").write_text(_data(about.classes), encoding="utf-8")
        return path


def _lines(found: Detections) -> Iterator[str]:
    for label, (x0, y0, x1, y1) in zip(
        found.labels.tolist(), found.boxes_xyxy.tolist(), strict=True
    ):
        x, y = (x0 + x1) / 2 / found.width, (y0 + y1) / 2 / found.height
        w, h = (x1 - x0) / found.width, (y1 - y0) / found.height
        yield f"{label} {x:.8f} {y:.8f} {w:.8f} {h:.8f}\n"


def _data(classes: Sequence[str]) -> str:
    """Both splits are all images: which to hold out is the trainer's to say."""
    data = {"train": "images", "val": "images", "names": dict(enumerate(classes))}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
