"""COCO's JSON: `pycocotools.coco.COCO(path)` loads it, and so does every labelling tool.

A box is (x, y, width, height) in pixels of the upright image; ids start at 1, category k + 1 is
class k. Every annotation has its `score`, so `loadRes(coco.dataset["annotations"])` works too.
Images without boxes stand in `images`. There are no masks; `segmentation` is the outline of the
box, since tools that draw annotations (`COCO.showAnns`) or import them refuse those without one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from workloads.artifacts import atomic_file
from workloads.formats.base import About, AnnotatedImage, Format
from workloads.formats.json_text import ListWriter, json_bytes

AnnotationsOf = Callable[[AnnotatedImage, int], list[dict[str, Any]]]
"""An image and the id of its first annotation to all of its annotations."""


class CocoFormat(Format):
    """COCO JSON with a score for each annotation, written as the rows come."""

    name = "coco"
    path = "annotations.coco.json"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        write_coco(folder / self.path, images, about, _annotations)
        return folder / self.path


class CocoResultsFormat(Format):
    """COCO's results: a list of boxes with scores, for `COCO.loadRes` beside the truth."""

    name = "coco-results"
    path = "results.coco.json"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        with atomic_file(path) as temporary, temporary.open("wb") as out:
            out.write(b"[")
            results = ListWriter(out)
            for image in images:
                results.add(
                    [
                        {"image_id": image.image_id, "category_id": k, "bbox": box, "score": score}
                        for k, box, score in boxes_of(image)
                    ]
                )
            out.write(b"\n]\n")
        return path


def write_coco(
    path: Path, images: Iterable[AnnotatedImage], about: About, annotations_of: AnnotationsOf
) -> None:
    """Write a COCO file, whole or not at all."""
    head = {
        "info": {"description": "boxes of weakly supervised object localization"},
        "licenses": [],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(about.classes)],
    }
    with (
        atomic_file(path) as temporary,
        temporary.open("wb") as out,
        # The images come first in the file; annotations wait here until the last image.
        tempfile.TemporaryFile(dir=temporary.parent) as waiting,
    ):
        out.write(json_bytes(head)[:-1] + b',"images":[')
        listed, annotations = ListWriter(out), ListWriter(waiting)
        next_id = 1
        for image in images:
            listed.add([_image(image, about)])
            found = annotations_of(image, next_id)
            annotations.add(found)
            next_id += len(found)
        out.write(b'\n],"annotations":[')
        waiting.seek(0)
        shutil.copyfileobj(waiting, out)
        out.write(b"\n]}\n")


def boxes_of(image: AnnotatedImage) -> Iterator[tuple[int, list[float], float]]:
    """Category id, (x, y, width, height) and score of each box."""
    found = image.detections
    columns = (found.labels.tolist(), found.boxes_xyxy.tolist(), found.scores.tolist())
    for label, (x0, y0, x1, y1), score in zip(*columns, strict=True):
        yield label + 1, [x0, y0, x1 - x0, y1 - y0], score


def _image(image: AnnotatedImage, about: About) -> dict[str, Any]:
    return {
        "id": image.image_id,
        "file_name": about.locate(image.file_name),
        "width": image.detections.width,
        "height": image.detections.height,
    }


def _annotations(image: AnnotatedImage, first_id: int) -> list[dict[str, Any]]:
    return [
        {
            "id": first_id + i,
            "image_id": image.image_id,
            "category_id": category,
            "bbox": [x, y, w, h],
            "area": w * h,
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            "iscrowd": 0,
            "score": score,
        }
        for i, (category, (x, y, w, h), score) in enumerate(boxes_of(image))
    ]
