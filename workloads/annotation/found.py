"""Images with all that was found in them, as rows of Parquet.

Maps are kept with 16 bits a pixel between their lowest and their highest value, which moves a value
by at most 1/131,070 of that range.

# C candidate classes, N boxes, S scales
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.detections import Detections
from workloads.localization.candidates import Candidates, Maps
from workloads.records import no_boxes

_STEPS = 65_535
FOUND_FIELDS = (
    pa.field("width", pa.int32(), nullable=False),  # of the upright image
    pa.field("height", pa.int32(), nullable=False),
    pa.field("orientation", pa.int8(), nullable=False),  # EXIF's, 1 to 8, which was applied
    pa.field("candidates", pa.list_(pa.int32()), nullable=False),  # C class indices
    pa.field("class_scores", pa.list_(pa.float32()), nullable=False),  # C
    pa.field("points_xy", pa.list_(pa.float32()), nullable=False),  # flat, two per candidate
    pa.field("boxes_xyxy", pa.list_(pa.float32()), nullable=False),  # flat, four per box
    pa.field("scores", pa.list_(pa.float32()), nullable=False),  # N
    pa.field("labels", pa.list_(pa.int32()), nullable=False),  # N
    pa.field("map_sizes", pa.list_(pa.int32())),  # flat, (h, w) per candidate and scale
    pa.field("map_ranges", pa.list_(pa.float32())),  # flat, lowest and highest of each
    pa.field("maps", pa.binary()),  # uint16, little-endian, one after the other
)


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image with all that a model may have seen in it.

    Attributes:
        image_id: from 1; the position in the listing.
        file_name: POSIX path relative to the annotated folder.
        orientation: EXIF's, which was applied; boxes are those of the upright image.
    """

    image_id: int
    file_name: str
    orientation: int
    candidates: Candidates


def found_row(candidates: Candidates, orientation: int) -> dict[str, Any]:
    """The columns of `FOUND_FIELDS`."""
    found = candidates.detections
    return {
        "width": found.width,
        "height": found.height,
        "orientation": orientation,
        "candidates": candidates.labels.tolist(),
        "class_scores": candidates.scores.tolist(),
        "points_xy": candidates.points_xy.ravel().tolist(),
        "boxes_xyxy": found.boxes_xyxy.ravel().tolist(),
        "scores": found.scores.tolist(),
        "labels": found.labels.tolist(),
        **_map_columns(candidates.maps),
    }


def candidates_of(row: dict[str, Any]) -> Candidates:
    """Inverse of `found_row`; maps as precise as they are kept."""
    detections = Detections(
        boxes_xyxy=np.asarray(row["boxes_xyxy"], np.float32).reshape(-1, 4),
        scores=np.asarray(row["scores"], np.float32),
        labels=np.asarray(row["labels"], np.int32),
        width=row["width"],
        height=row["height"],
    )
    labels = np.asarray(row["candidates"], np.int32)
    return Candidates(
        labels=labels,
        scores=np.asarray(row["class_scores"], np.float32),
        points_xy=np.asarray(row["points_xy"], np.float32).reshape(-1, 2),
        detections=detections,
        maps=None if row["maps"] is None else _maps(row, len(labels)),
    )


NOTHING = Candidates(
    labels=np.zeros(0, np.int32),
    scores=np.zeros(0, np.float32),
    points_xy=np.zeros((0, 2), np.float32),
    detections=Detections(no_boxes(), np.zeros(0, np.float32), np.zeros(0, np.int32), 0, 0),
)
"""Of a file that could not be read."""


def _map_columns(maps: Iterable[Maps] | None) -> dict[str, Any]:
    if maps is None:
        return {"map_sizes": None, "map_ranges": None, "maps": None}
    flat = [one for scales in maps for one in scales]
    return {
        "map_sizes": [side for one in flat for side in one.shape],
        "map_ranges": [float(end) for one in flat for end in (one.min(), one.max())],
        "maps": b"".join(_packed(one).tobytes() for one in flat),
    }


def _packed(one: NDArray[np.float32]) -> NDArray[np.uint16]:
    low, high = float(one.min()), float(one.max())
    if not high > low:
        return np.zeros(one.shape, "<u2")
    shares = (one.astype(np.float64) - low) / (high - low)
    return np.rint(shares * _STEPS).astype("<u2")


def _maps(row: dict[str, Any], candidates: int) -> tuple[Maps, ...]:
    sizes = np.asarray(row["map_sizes"], np.int64).reshape(-1, 2)
    ranges = np.asarray(row["map_ranges"], np.float64).reshape(-1, 2)
    values = np.frombuffer(row["maps"], "<u2")
    starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))])
    flat = [
        (low + values[a:z].astype(np.float64) * ((high - low) / _STEPS))
        .astype(np.float32)
        .reshape(h, w)
        for a, z, (low, high), (h, w) in zip(starts[:-1], starts[1:], ranges, sizes, strict=True)
    ]
    scales = len(flat) // max(1, candidates)
    return tuple(tuple(flat[i * scales : (i + 1) * scales]) for i in range(candidates))
