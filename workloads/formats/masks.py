"""Masks: COCO's JSON whose `segmentation` is a run-length code, and label images as PNGs.

The mask of a box is the foreground of its class's map, at the cut-offs of the boxes, inside the
box: the pixels whose centres lie in it. `bbox` stays the box itself, `area` counts the mask. A box
that a review gave another class keeps the mask that it was found by.

In a label image a pixel is the category id, from 1, of the best box whose mask it is in, and 0
where there is none: 8 bits, 16 with more than 255 classes. `a/b.jpg` has `labels/a/b.jpg.png`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from workloads.artifacts import atomic_folder
from workloads.errors import NotFound
from workloads.formats.base import About, AnnotatedImage, Format, place_in
from workloads.formats.coco import boxes_of, write_coco
from workloads.formats.json_text import json_bytes
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


class LabelImagesFormat(Format):
    """Label images as PNGs: the category id of the best box's foreground; needs maps."""

    name = "masks-png"
    path = "masks"
    needs_maps = True

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        with atomic_folder(path) as temporary:
            (temporary / "labels").mkdir()
            categories = {str(k + 1): name for k, name in enumerate(about.classes)}
            (temporary / "categories.json").write_bytes(json_bytes(categories) + b"\n")
            for image in images:
                unpublished = place_in(temporary / "labels", f"{image.file_name}.png", "")
                unpublished.write_bytes(bytes(cv2.imencode(".png", _label_image(image, about))[1]))
        return path


def _label_image(image: AnnotatedImage, about: About) -> NDArray[np.generic]:
    """(H, W) category ids, 0 for none."""
    found, kind = image.detections, np.uint8 if len(about.classes) < 256 else np.uint16
    pixels = np.zeros((found.height, found.width), kind)
    for label, mask in zip(found.labels.tolist(), _masks(image, about), strict=True):
        pixels[mask & (pixels == 0)] = label + 1  # the best comes first
    return pixels


def _annotations(image: AnnotatedImage, first_id: int, about: About) -> list[dict[str, Any]]:
    annotations = []
    of_box = zip(boxes_of(image), _masks(image, about), strict=True)
    for i, ((category, bbox, score), mask) in enumerate(of_box):
        code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
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


def _masks(image: AnnotatedImage, about: About) -> Iterator[NDArray[np.bool_]]:
    """The (H, W) mask of each box."""
    found, candidates = image.detections, image.candidates
    if candidates.maps is None:
        raise NotFound(f"{image.file_name!r}: its maps were not kept; annotate it with maps")
    maps = dict(zip(candidates.labels.tolist(), candidates.maps, strict=True))
    labels = (found.labels if image.found_as is None else image.found_as).tolist()
    of_class = {
        label: foreground(maps[label], found.width, found.height, about.cutoffs, label)
        for label in set(labels)
    }
    # A pixel is inside if its centre is.
    whole = np.ceil(found.boxes_xyxy - 0.5).astype(int).tolist()
    for label, (x0, y0, x1, y1) in zip(labels, whole, strict=True):
        mask = np.zeros((found.height, found.width), np.bool_)
        mask[y0:y1, x0:x1] = of_class[label][y0:y1, x0:x1]
        yield mask
