"""Maps and boxes to measure with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.benchmarks.extent import Extent
from workloads.localization.maps import normalize, upsample

SIZE, FIELD = 224, 14
RANDOM_FIELDS, BLOB_FIELDS = 6, 6
REPEATS: dict[Extent, int] = {"quick": 1, "usual": 3, "full": 5}


class Sample(NamedTuple):
    """A (224, 224) map in [0, 1] and (G, 4) boxes to compare with."""

    map01: NDArray[np.float32]
    boxes_xyxy: NDArray[np.float32]


def make_samples(
    seed: int, random_fields: int = RANDOM_FIELDS, blob_fields: int = BLOB_FIELDS
) -> list[Sample]:
    """Maps of 224x224, upsampled from 14x14, with one to three boxes each.

    First random fields (many components), then one to three blobs over faint noise (like a CAM).
    """
    rng = np.random.default_rng(seed)
    fields = [rng.random((FIELD, FIELD), np.float32) for _ in range(random_fields)]
    fields += [_blobs(rng) for _ in range(blob_fields)]
    return [Sample(normalize(upsample(field, SIZE, SIZE)), _boxes(rng)) for field in fields]


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenCV to one thread; the one-pass sweeps never use more."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _blobs(rng: np.random.Generator) -> NDArray[np.float32]:
    y, x = np.mgrid[:FIELD, :FIELD]
    field = 0.1 * rng.random((FIELD, FIELD))
    for _ in range(rng.integers(1, 4)):
        cy, cx = rng.uniform(2, FIELD - 2, 2)
        spread = rng.uniform(1.0, 3.0)
        field += rng.uniform(0.5, 1.0) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * spread**2))
    return field.astype(np.float32)


def _boxes(rng: np.random.Generator) -> NDArray[np.float32]:
    count = int(rng.integers(1, 4))
    sides = rng.uniform(30, 150, (count, 2))
    corners = rng.uniform(0, SIZE - sides)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
