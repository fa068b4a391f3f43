"""All that is found in one chunk of the listing, batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from workloads.annotation.found import FoundImage
from workloads.annotation.listing import ListedFile
from workloads.annotation.options import Kept
from workloads.annotation.parts import ChunkResult, QuarantinedFile
from workloads.annotation.walk import read_image_file
from workloads.errors import InputRejected
from workloads.images.decode import ImageLimits, decode_oriented
from workloads.localization.candidates import Candidates

# At most this much is decoded at the same time: photographs of a phone have 12 million pixels.
BATCH_IMAGES = 16


BATCH_PIXELS = 64_000_000


class Finder(Protocol):
    """A localizer, as annotation needs it."""

    def candidates(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        floor: float,
        most: int,
        keep_maps: bool,
    ) -> list[Candidates]:
        """Candidates of each (H, W, 3) uint8 upright RGB image."""


class _Decoded(NamedTuple):
    """An image that waits for its batch."""

    image_id: int
    name: str
    pixels: NDArray[np.uint8]
    orientation: int


def annotate_chunk(
    finder: Finder,
    folder: Path,
    files: Sequence[ListedFile],
    first_id: int,
    limits: ImageLimits,
    kept: Kept,
) -> ChunkResult:
    """Read and annotate the files of one chunk; a file that cannot be used is quarantined.

    Raises:
        OSError: reading fails for a reason that is not the file's (see `read_image_file`).
    """
    rows: list[FoundImage] = []
    quarantined: list[QuarantinedFile] = []
    contents: dict[int, str] = {}
    batch: list[_Decoded] = []
    for image_id, file in enumerate(files, start=first_id):
        try:
            data = _read(folder, file, limits)
            contents[image_id] = hashlib.sha256(data).hexdigest()
            image = _Decoded(image_id, file.in_part, *decode_oriented(data, limits))
        except InputRejected as error:
            quarantined.append(QuarantinedFile(image_id, file.in_part, str(error)))
            continue
        batch.append(image)
        if _is_full(batch):
            rows += _find(finder, batch, kept)
            batch = []
    rows += _find(finder, batch, kept)
    return ChunkResult(tuple(rows), tuple(quarantined), contents)


def _read(folder: Path, file: ListedFile, limits: ImageLimits) -> bytes:
    if file.refused is not None:
        raise InputRejected(file.refused)
    return read_image_file(folder / file.name, limits)


def _is_full(batch: Sequence[_Decoded]) -> bool:
    pixels = sum(one.pixels.shape[0] * one.pixels.shape[1] for one in batch)
    return len(batch) >= BATCH_IMAGES or pixels >= BATCH_PIXELS


def _find(finder: Finder, batch: Sequence[_Decoded], kept: Kept) -> list[FoundImage]:
    if not batch:
        return []
    found = finder.candidates(
        [one.pixels for one in batch],
        floor=kept.min_score,
        most=kept.classes_per_image,
        keep_maps=kept.maps,
    )
    return [
        FoundImage(one.image_id, one.name, one.orientation, candidates)
        for one, candidates in zip(batch, found, strict=True)
    ]
