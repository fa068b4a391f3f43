"""COCO's JSON: `pycocotools.coco.COCO(path)` loads it, and so does every labelling tool.

A box is (x, y, width, height) in pixels of the upright image; ids start at 1, category k + 1 is
class k. Every annotation has its `score`, so `loadRes(coco.dataset["annotations"])` works too.
Images without boxes stand in `images`. There are no masks; `segmentation` is the outline of the
box, since tools that draw annotations (`COCO.showAnns`) or import them refuse those without one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from workloads.artifacts import atomic_file
from workloads.formats.base import About, AnnotatedImage, Format


class CocoFormat(Format):
    """One JSON file, written as the rows come."""

    name = "coco"
    path = "annotations.coco.json"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        head = {
            "info": {"description": "boxes of weakly supervised object localization"},
            "licenses": [],
            "categories": [{"id": k + 1, "name": name} for k, name in enumerate(about.classes)],
        }
        with (
            atomic_file(path) as temporary,
            temporary.open("w", encoding="utf-8") as out,
            # The images come first in the file; annotations wait here until the last image.
            tempfile.TemporaryFile("w+", dir=temporary.parent, encoding="utf-8") as annotations,
        ):
            out.write(_json(head)[:-1] + ',"images":[')
            _write_rows(images, out, annotations)
            out.write('\n],"annotations":[')
            annotations.seek(0)
            for line in annotations:
                out.write(line)
            out.write("\n]}\n")
        return path


def _write_rows(rows: Iterable[AnnotatedImage], images: IO[str], annotations: IO[str]) -> None:
    next_id = 1
    for index, row in enumerate(rows):
        images.write(f"{',' if index else ''}\n{_json(_image(row))}")
        for annotation in _annotations(row, next_id):
            annotations.write(f"{',' if next_id > 1 else ''}\n{_json(annotation)}")
            next_id += 1


def _image(row: AnnotatedImage) -> dict[str, Any]:
    return {
        "id": row.image_id,
        "file_name": row.file_name,
        "width": row.detections.width,
        "height": row.detections.height,
    }


def _annotations(row: AnnotatedImage, first_id: int) -> Iterable[dict[str, Any]]:
    found = row.detections
    boxes, scores, labels = found.boxes_xyxy.tolist(), found.scores.tolist(), found.labels.tolist()
    for i, ((x0, y0, x1, y1), score, label) in enumerate(zip(boxes, scores, labels, strict=True)):
        yield {
            "id": first_id + i,
            "image_id": row.image_id,
            "category_id": label + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
            "iscrowd": 0,
            "score": score,
        }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
