"""Detections in one chunk of the listing, images of like size together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workloads.annotation.listing import ListedFile, read_image_file
from workloads.annotation.parts import ChunkResult, QuarantinedFile
from workloads.detections import Detections
from workloads.errors import InputRejected
from workloads.formats.base import AnnotatedImage
from workloads.images.decode import ImageLimits, decode

# At most this much is decoded at the same time: photographs of a phone have 12 million pixels.
BATCH_IMAGES = 16


BATCH_PIXELS = 64_000_000


class Detector(Protocol):
    """A localizer, as annotation needs it."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Boxes of each (H, W, 3) uint8 upright RGB image."""


def annotate_chunk(
    detector: Detector,
    folder: Path,
    files: Sequence[ListedFile],
    first_id: int,
    limits: ImageLimits,
) -> ChunkResult:
    """Read and annotate the files of one chunk; a file that cannot be used is quarantined.

    Raises:
        OSError: reading fails for a reason that is not the file's (see `read_image_file`).
    """
    rows: list[AnnotatedImage] = []
    quarantined: list[QuarantinedFile] = []
    contents: dict[int, str] = {}
    batch: list[tuple[int, str, NDArray[np.uint8]]] = []
    for image_id, file in enumerate(files, start=first_id):
        try:
            data = _read(folder, file, limits)
            contents[image_id] = hashlib.sha256(data).hexdigest()
            image = decode(data, limits)
        except InputRejected as error:
            quarantined.append(QuarantinedFile(image_id, file.in_part, str(error)))
            continue
        batch.append((image_id, file.in_part, image))
        if _is_full(batch):
            rows += _detect(detector, batch)
            batch = []
    rows += _detect(detector, batch)
    return ChunkResult(tuple(rows), tuple(quarantined), contents)


def _read(folder: Path, file: ListedFile, limits: ImageLimits) -> bytes:
    if file.refused is not None:
        raise InputRejected(file.refused)
    return read_image_file(folder / file.name, limits)


def _is_full(batch: list[tuple[int, str, NDArray[np.uint8]]]) -> bool:
    pixels = sum(image.shape[0] * image.shape[1] for _, _, image in batch)
    return len(batch) >= BATCH_IMAGES or pixels >= BATCH_PIXELS


def _detect(
    detector: Detector, batch: list[tuple[int, str, NDArray[np.uint8]]]
) -> list[AnnotatedImage]:
    if not batch:
        return []
    found = detector.detect([image for _, _, image in batch])
    return [
        AnnotatedImage(image_id, name, detections)
        for (image_id, name, _), detections in zip(batch, found, strict=True)
    ]
