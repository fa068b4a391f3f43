"""Parquet: one row per box, for pandas, DuckDB, Spark and the like.

An image without boxes has one row, whose `class`, `label`, `score` and corners are null. So
the distinct `image_id`s are all images that were read, and `score IS NOT NULL` gives the boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from workloads.formats.base import About, AnnotatedImage, Format
from workloads.parquet import parquet_writer

IMAGES_PER_ROW_GROUP = 10_000

SCHEMA = pa.schema(
    [
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("class", pa.string()),
        pa.field("label", pa.int32()),
        pa.field("score", pa.float32()),
        pa.field("x0", pa.float32()),
        pa.field("y0", pa.float32()),
        pa.field("x1", pa.float32()),
        pa.field("y1", pa.float32()),
    ]
)


class ParquetFormat(Format):
    """One Parquet file; a row group holds the boxes of some thousand images."""

    name = "parquet"
    path = "annotations.parquet"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path, left = folder / self.path, iter(images)
        with parquet_writer(path, SCHEMA) as writer:
            while some := list(islice(left, IMAGES_PER_ROW_GROUP)):
                flat = [row for image in some for row in _rows(image, about.classes)]
                writer.write_table(pa.Table.from_pylist(flat, schema=SCHEMA))
        return path


def _rows(image: AnnotatedImage, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    found = image.detections
    common = {
        "file_name": image.file_name,
        "image_id": image.image_id,
        "width": found.width,
        "height": found.height,
    }
    if not len(found):
        yield common
    for (x0, y0, x1, y1), score, label in zip(
        found.boxes_xyxy.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
    ):
        box = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
        yield {**common, "class": classes[label], "label": label, "score": score, **box}
