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


def made_candidates(found: Detections) -> Candidates:
    """A candidate for each class of the boxes, with their best score, its point in their middle."""
    labels = np.unique(found.labels)
    best = [int(np.flatnonzero(found.labels == k)[0]) for k in labels]
    corners = found.boxes_xyxy[best]
    return Candidates(
        labels=labels.astype(np.int32),
        scores=found.scores[best],
        points_xy=(corners[:, :2] + corners[:, 2:]) / 2,
        detections=found,
    )


def found_image(image_id: int, file_name: str, found: Detections) -> FoundImage:
    return FoundImage(image_id, file_name, 1, made_candidates(found))


def annotated_image(image_id: int, file_name: str, found: Detections) -> AnnotatedImage:
    return AnnotatedImage(image_id, file_name, found, 1, made_candidates(found))


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
