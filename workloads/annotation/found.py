"""Images with all that was found in them, as rows of Parquet.

Maps are kept with 16 bits a pixel between their lowest and their highest value, which moves a value
by at most 1/131,070 of that range.

# C candidate classes, N boxes, S scales
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
MAP_COLUMNS = ("map_sizes", "map_ranges", "maps")


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


def candidates_in(table: pa.Table) -> Iterator[Candidates]:
    """Inverse of `found_row`, row by row; maps as precise as they are kept.

    Args:
        table: the columns of `FOUND_FIELDS`; those of the maps may be missing, and so are they.

    Raises:
        ValueError: lists of a row disagree in length, or a box is empty or outside its image.
    """
    labels, ends = _lists(table, "candidates")
    class_scores = _beside(ends, table, "class_scores")
    points = _beside(ends, table, "points_xy", 2).reshape(-1, 2)
    box_labels, box_ends = _lists(table, "labels")
    scores = _beside(box_ends, table, "scores")
    boxes = _beside(box_ends, table, "boxes_xyxy", 4).reshape(-1, 4)
    widths, heights = (table[name].to_pylist() for name in ("width", "height"))
    kept = _kept_maps(table)
    for row, (width, height) in enumerate(zip(widths, heights, strict=True)):
        own, of_boxes = slice(*ends[row : row + 2]), slice(*box_ends[row : row + 2])
        yield Candidates(
            labels=labels[own],
            scores=class_scores[own],
            points_xy=points[own],
            detections=Detections(
                boxes[of_boxes], scores[of_boxes], box_labels[of_boxes], width, height
            ),
            maps=_maps(kept[row], ends[row + 1] - ends[row]),
        )


def _lists(table: pa.Table, name: str) -> tuple[NDArray, list[int]]:
    """The values of all lists of a column one after the other, and where each begins and ends."""
    column = table[name].combine_chunks()
    return column.values.to_numpy(), column.offsets.to_pylist()


def _beside(ends: Sequence[int], table: pa.Table, name: str, each: int = 1) -> NDArray:
    """The values of a column whose lists have `each` values for one in lists that end so."""
    values, own = _lists(table, name)
    if own != [each * end for end in ends]:
        raise ValueError(f"lists of '{name}' have another length than those beside them")
    return values


def _kept_maps(table: pa.Table) -> list[dict[str, Any] | None]:
    """For each row its columns of maps, None where there are none."""
    if "maps" not in table.column_names:
        return [None] * table.num_rows
    rows = table.select(MAP_COLUMNS).to_pylist()
    return [None if row["maps"] is None else row for row in rows]


NOTHING = Candidates(
    labels=np.zeros(0, np.int32),
    scores=np.zeros(0, np.float32),
    points_xy=np.zeros((0, 2), np.float32),
    detections=Detections(no_boxes(), np.zeros(0, np.float32), np.zeros(0, np.int32), 0, 0),
)
"""Candidates of a file that could not be read."""


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


def _maps(row: Mapping[str, Any] | None, candidates: int) -> tuple[Maps, ...] | None:
    if row is None:
        return None
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
