"""Candidates from boxes made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.annotation.found import FoundImage
from workloads.detections import Detections
from workloads.formats.base import AnnotatedImage
from workloads.localization.candidates import Candidates, Clock


def made_detections(
    boxes: Sequence[Sequence[float]],
    scores: Sequence[float],
    labels: Sequence[int],
    width: int = 64,
    height: int = 48,
) -> Detections:
    return Detections(
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(scores, np.float32),
        np.asarray(labels, np.int32),
        width,
        height,
    )


def made_candidates(found: Detections, *, maps: bool = False) -> Candidates:
    """A candidate for each class of the boxes, with their best score, its point in their middle.

    Args:
        maps: whether each has a map, which is the class index + 1 in its best box and 0 elsewhere.
    """
    labels = np.unique(found.labels)
    best = [int(np.flatnonzero(found.labels == k)[0]) for k in labels]
    corners = found.boxes_xyxy[best]
    return Candidates(
        labels=labels.astype(np.int32),
        scores=found.scores[best],
        points_xy=(corners[:, :2] + corners[:, 2:]) / 2,
        detections=found,
        maps=tuple(
            (made_map(box, k + 1, found.width, found.height),)
            for box, k in zip(corners, labels.tolist(), strict=True)
        )
        if maps
        else None,
    )


def made_map(
    box: NDArray[np.float32], value: float, width: int, height: int
) -> NDArray[np.float32]:
    """(height, width) of 0, and a value in all pixels that a box touches."""
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.ceil(box[2:]).astype(int)
    pixels = np.zeros((height, width), np.float32)
    pixels[y0:y1, x0:x1] = value
    return pixels


def found_image(
    image_id: int, file_name: str, found: Detections, *, maps: bool = False
) -> FoundImage:
    return FoundImage(image_id, file_name, 1, made_candidates(found, maps=maps))


def annotated_image(
    image_id: int, file_name: str, found: Detections, *, maps: bool = False
) -> AnnotatedImage:
    return AnnotatedImage(image_id, file_name, found, 1, made_candidates(found, maps=maps))


class Finding:
    """A finder whose candidates are the classes of the boxes that `detect` gives."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        raise NotImplementedError

    def candidates(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        floor: float,
        most: int,
        keep_maps: bool,
        clock: Clock,
    ) -> list[Candidates]:
        return list(map(made_candidates, self.detect(images)))
