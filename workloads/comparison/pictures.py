"""The same images as every method of the comparison sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workloads.comparison.measure import Measuring, read
from workloads.comparison.plan import Reading
from workloads.images.decode import decode
from workloads.images.drawing import captioned, fit, grid
from workloads.localization.cutoffs import Cutoffs
from workloads.predictions.drawing import draw_map
from workloads.predictions.store import Prediction
from workloads.records import Record
from workloads.shards.shards import Shards

Pixels = NDArray[np.uint8]
IMAGES = 4
SIDE = 160


class Column(NamedTuple):
    """One reading of a model, and the cut-off at which its maps are shown."""

    model: Path
    reading: Reading
    how: Measuring
    cutoff: float


def draw_maps(shards: Shards, readings: Mapping[str, Column]) -> Image.Image:
    """One row for each of the first test images with a box, one column for each reading.

    The first column is the image. The others are maps of the first of its classes, with the true
    boxes of that class, and in orange what the map gives at its cut-off.

    Args:
        readings: by name, all of one split.
    """
    how = next(iter(readings.values())).how
    boxed = _boxed(shards, how.test)
    images = {at: fit(decode(record.image, how.limits), SIDE) for at, record in boxed}
    columns = {"image": list(images.values())}
    for name, one in readings.items():
        every = read(one.model, one.reading, shards, how.test, one.how)
        predictions = enumerate(islice(every, max(images, default=-1) + 1))
        columns[name] = [
            _with_map(images[at], p, one.cutoff) for at, p in predictions if at in images
        ]
    titled = [[captioned(column[0], name), *column[1:]] for name, column in columns.items()]
    cells = [cell for row in zip(*titled, strict=True) for cell in row]
    return Image.fromarray(grid(cells, len(columns)))


def _boxed(shards: Shards, split: str) -> Iterator[tuple[int, Record]]:
    """The first images with boxes of a class that is surely there, with their places."""
    records = (record for group in shards.row_groups(split) for record in group.read())
    shown = (
        (at, record)
        for at, record in enumerate(records)
        if record.truth.labels and len(record.truth.boxes_of(record.truth.labels[0]))
    )
    return islice(shown, IMAGES)


def _with_map(pixels: Pixels, prediction: Prediction, cutoff: float) -> Pixels:
    """(H, W, 3) pixels, as `fit` gives them, under the map of the image's first class."""
    label = prediction.truth.labels[0]
    truth = prediction.truth.boxes_of(label)
    size = (prediction.width, prediction.height)
    scales = [prediction.map_of(label)]
    return draw_map(pixels, scales, label, size, truth, Cutoffs(cutoff=cutoff))
