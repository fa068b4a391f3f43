"""Stored scores and maps: what a network said about each image, computed once.

Cut-offs, the co-occurrence weight and every metric are functions of these rows, so searching
and measuring need no network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.errors import NotFound
from workloads.parquet import count_rows, open_parquet, write_parquet
from workloads.records import TRUTH_FIELDS, GroundTruth, truth_columns, truth_from_row
from workloads.storage.storage import storage_of

SCHEMA_VERSION = 3
PREDICTION_SCHEMA = pa.schema(
    [
        *TRUTH_FIELDS,
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("map_labels", pa.list_(pa.int32()), nullable=False),
        pa.field("map_sizes", pa.list_(pa.int32()), nullable=False),  # h, w of each scale, flat
        pa.field("maps", pa.binary(), nullable=False),  # float32 (n, h, w) of each scale in turn
        pa.field("proposal_height", pa.int32(), nullable=False),
        pa.field("proposal_width", pa.int32(), nullable=False),
        pa.field("proposal", pa.binary(), nullable=False),  # float32 (h, w), empty without one
        pa.field("regions_xyxy", pa.list_(pa.float32())),  # flat, four per box; null without
    ]
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Scores and maps of one image, beside its ground truth.

    Attributes:
        width, height: size of the upright image in pixels.
        scores: (K,) float32 in [0, 1].
        map_labels: (n,) int32, the classes whose maps are stored.
        scales: one (n, h, w) float32 array of raw responses for each scale of the network, the
            main one first, in the frame of the whole upright image.
        proposal: (h, w) float32 class-free objectness in the same frame; None for methods
            without one.
        regions_xyxy: (R, 4) float32 class-free boxes of an object proposal algorithm, best
            first; None where the model's box rule does not ask for them.
    """

    image_id: str
    split: str
    width: int
    height: int
    truth: GroundTruth
    scores: NDArray[np.float32]
    map_labels: NDArray[np.int32]
    scales: tuple[NDArray[np.float32], ...]
    proposal: NDArray[np.float32] | None = None
    regions_xyxy: NDArray[np.float32] | None = None

    @property
    def maps(self) -> NDArray[np.float32]:
        """(n, h, w) raw responses of the main scale."""
        return self.scales[0]

    def map_of(self, label: int) -> NDArray[np.float32]:
        """(h, w) raw map of one class, main scale.

        Raises:
            NotFound: no map of this class was stored.
        """
        return self.maps_of(label)[0]

    def maps_of(self, label: int) -> tuple[NDArray[np.float32], ...]:
        """(h, w) raw maps of one class, one for each scale.

        Raises:
            NotFound: no map of this class was stored.
        """
        found = np.flatnonzero(self.map_labels == label)
        if not len(found):
            raise NotFound(
                f"image {self.image_id}: no map of class {label} is stored "
                f"(stored: {self.map_labels.tolist()})"
            )
        return tuple(maps[found[0]] for maps in self.scales)


def classes_to_store(
    truth: GroundTruth, scores: NDArray[np.float32], top: int
) -> NDArray[np.int32]:
    """Classes whose maps are worth keeping: all true ones and the `top` best scored."""
    best = np.argsort(-scores, kind="stable")[:top]
    wanted = set(truth.labels) | set(truth.difficult_labels) | {int(k) for k in best}
    return np.asarray(sorted(wanted), dtype=np.int32)


def write_predictions(path: Path, predictions: list[Prediction]) -> None:
    """Write one Parquet part whole or not at all."""
    rows = [_row(p) for p in predictions]
    write_parquet(path, pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA))


def read_predictions(folder: Path) -> Iterator[Prediction]:
    """All predictions of an artifact in the order of its parts."""
    for part in part_files(folder):
        yield from read_part(part)


def part_files(folder: Path) -> list[Path]:
    """The parts of an artifact, in order."""
    return [
        p for p in storage_of(folder).files(folder) if p.parent == folder and p.match("*.parquet")
    ]


def read_part(part: Path) -> Iterator[Prediction]:
    """The predictions of one part."""
    with open_parquet(part) as file:
        for batch in file.iter_batches(batch_size=64):
            yield from (_prediction(row) for row in batch.to_pylist())


def rows_of(part: Path) -> int:
    """The number of predictions in one part; none of them is read."""
    return count_rows(part)


def _row(p: Prediction) -> dict[str, object]:
    proposal = np.zeros((0, 0), np.float32) if p.proposal is None else p.proposal
    return {
        "image_id": p.image_id,
        "split": p.split,
        "width": p.width,
        "height": p.height,
        **truth_columns(p.truth),
        "scores": p.scores.tolist(),
        "map_labels": p.map_labels.tolist(),
        "map_sizes": [side for maps in p.scales for side in maps.shape[1:]],
        "maps": b"".join(maps.astype("<f4").tobytes() for maps in p.scales),
        "proposal_height": proposal.shape[0],
        "proposal_width": proposal.shape[1],
        "proposal": proposal.astype("<f4").tobytes(),
        "regions_xyxy": None if p.regions_xyxy is None else p.regions_xyxy.ravel().tolist(),
    }


def _prediction(row: dict[str, object]) -> Prediction:
    proposal = np.frombuffer(row["proposal"], dtype="<f4").reshape(  # type: ignore[call-overload]
        row["proposal_height"], row["proposal_width"]
    )
    regions = row["regions_xyxy"]
    return Prediction(
        image_id=str(row["image_id"]),
        split=str(row["split"]),
        width=row["width"],  # type: ignore[arg-type]
        height=row["height"],  # type: ignore[arg-type]
        truth=truth_from_row(row),
        scores=np.asarray(row["scores"], dtype=np.float32),
        map_labels=np.asarray(row["map_labels"], dtype=np.int32),
        scales=_scales(row),
        proposal=proposal if proposal.size else None,
        regions_xyxy=None if regions is None else np.asarray(regions, np.float32).reshape(-1, 4),
    )


def _scales(row: dict[str, Any]) -> tuple[NDArray[np.float32], ...]:
    flat = np.frombuffer(row["maps"], dtype="<f4")
    sizes = np.asarray(row["map_sizes"], dtype=np.int64).reshape(-1, 2)
    count = len(row["map_labels"])
    ends = np.cumsum(count * sizes.prod(axis=1))
    parts = np.split(flat, ends[:-1])
    return tuple(p.reshape(count, h, w) for p, (h, w) in zip(parts, sizes, strict=True))
