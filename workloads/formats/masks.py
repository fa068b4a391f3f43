"""Masks: COCO's JSON whose `segmentation` is a run-length code.

The mask of a box is the foreground of its class's map, at the cut-offs of the boxes, inside the
box: the pixels whose centres lie in it. `bbox` stays the box itself, `area` counts the mask. A box
that a review gave another class keeps the mask that it was found by.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from workloads.errors import NotFound
from workloads.formats.base import About, AnnotatedImage, Format
from workloads.formats.coco import boxes_of, write_coco
from workloads.localization.foreground import foreground


class MasksFormat(Format):
    """COCO JSON with the foreground of each box as a run-length code; needs maps."""

    name = "masks"
    path = "masks.coco.json"
    needs_maps = True

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        write_coco(path, images, about, lambda image, first: _annotations(image, first, about))
        return path


def _annotations(image: AnnotatedImage, first_id: int, about: About) -> list[dict[str, Any]]:
    found = image.detections
    labels = found.labels if image.found_as is None else image.found_as
    of_class = _foregrounds(image, set(labels.tolist()), about)
    annotations = []
    for i, (category, bbox, score) in enumerate(boxes_of(image)):
        code = _run_lengths(of_class[int(labels[i])], found.boxes_xyxy[i])
        annotations.append(
            {
                "id": first_id + i,
                "image_id": image.image_id,
                "category_id": category,
                "bbox": bbox,
                "area": int(coco_mask.area(code)),
                "segmentation": {**code, "counts": code["counts"].decode("ascii")},
                "iscrowd": 0,
                "score": score,
            }
        )
    return annotations


def _foregrounds(
    image: AnnotatedImage, labels: set[int], about: About
) -> dict[int, NDArray[np.bool_]]:
    """Class to its (H, W) foreground."""
    candidates, size = image.candidates, (image.detections.width, image.detections.height)
    if candidates.maps is None:
        raise NotFound(f"{image.file_name!r}: its maps were not kept; annotate it with maps")
    maps = dict(zip(candidates.labels.tolist(), candidates.maps, strict=True))
    return {label: foreground(maps[label], *size, about.cutoffs, label) for label in labels}


def _run_lengths(pixels: NDArray[np.bool_], box: NDArray[np.float32]) -> dict[str, Any]:
    """The code of a (H, W) foreground inside of a box, column by column as COCO has it."""
    x0, y0, x1, y1 = np.ceil(box - 0.5).astype(int)
    inside = np.zeros(pixels.shape, np.uint8, order="F")
    inside[y0:y1, x0:x1] = pixels[y0:y1, x0:x1]
    code: dict[str, Any] = coco_mask.encode(inside)
    return code
