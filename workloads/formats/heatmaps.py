"""Heat maps: one grey PNG of 8 bits for each image and class, at the size of the upright image.

The main map of a class is brought to the size of the image as its boxes are, and its lowest to its
highest value become 0 to 255, rounded to the nearest; a constant map is black. `index.jsonl` has a
line for each PNG, with both values in the map's own unit. The PNGs of an image `a/b.jpg` are in
`maps/a/b.jpg/`, named by the class index, from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.artifacts import atomic_folder
from workloads.errors import NotFound
from workloads.formats.base import About, AnnotatedImage, Format, place_in
from workloads.formats.json_text import json_bytes
from workloads.localization.maps import normalize, upsample


class HeatMapsFormat(Format):
    """Heat maps as PNGs, one for each image and class, with an index; needs maps."""

    name = "heatmaps"
    path = "heatmaps"
    needs_maps = True

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        with (
            atomic_folder(path) as temporary,
            (temporary / "index.jsonl").open("wb") as index,
        ):
            (temporary / "maps").mkdir()
            for image in images:
                for entry in _write_maps(image, about, temporary):
                    index.write(json_bytes(entry) + b"\n")
        return path


def _write_maps(image: AnnotatedImage, about: About, folder: Path) -> Iterator[dict[str, Any]]:
    candidates = image.candidates
    if candidates.maps is None:
        raise NotFound(f"{image.file_name!r}: its maps were not kept; annotate it with maps")
    for label, score, maps in zip(
        candidates.labels.tolist(), candidates.scores.tolist(), candidates.maps, strict=True
    ):
        unpublished = place_in(folder / "maps", f"{image.file_name}/{label}.png", "")
        unpublished.write_bytes(_png(maps[0], image, align_corners=about.cutoffs.align_corners))
        yield {
            "image_id": image.image_id,
            "file_name": image.file_name,
            "label": label,
            "class": about.classes[label],
            "score": score,
            "png": unpublished.relative_to(folder).as_posix(),
            "lowest": float(maps[0].min()),
            "highest": float(maps[0].max()),
        }


def _png(raw: NDArray[np.float32], image: AnnotatedImage, *, align_corners: bool) -> bytes:
    size = (image.detections.width, image.detections.height)
    map01 = normalize(upsample(raw, *size, align_corners=align_corners))
    grey = np.rint(map01 * 255).astype(np.uint8)
    return bytes(cv2.imencode(".png", grey)[1])
