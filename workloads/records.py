"""One image with what is known about it: the row of every shard.

Boxes everywhere are `boxes_xyxy`: float32 (N, 4), pixels of the *upright* image, half-open,
so that width = x1 - x0 and a box over the whole image is (0, 0, width, height).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def no_boxes() -> NDArray[np.float32]:
    """An empty (0, 4) array of boxes."""
    return np.zeros((0, 4), dtype=np.float32)


def no_flags() -> NDArray[np.bool_]:
    """The flag of each of no boxes."""
    return np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """Ground-truth annotation of one image.

    Attributes:
        labels: class indices with at least one object that is not difficult, ascending.
        difficult_labels: class indices whose objects are all difficult, ascending. They count
            as negatives in training and are skipped in average precision.
        boxes_xyxy: (N, 4) float32, pixels of the upright image, half-open.
        box_labels: (N,) int32 class indices.
        box_difficult: (N,) bool; hard to recognise (VOC): found rightly, but not missed.
        box_truncated: (N,) bool; the object reaches beyond its box (VOC).
        box_crowd: (N,) bool; a box over a group (COCO): the class is there, but no single object.
        mask: PNG bytes of the pixels of the image's class, see `workloads.images.masks`; None
            without.
        blacklisted: whether localization is not judged on the image (ILSVRC).
    """

    labels: tuple[int, ...] = ()
    difficult_labels: tuple[int, ...] = ()
    boxes_xyxy: NDArray[np.float32] = field(default_factory=no_boxes)
    box_labels: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    box_difficult: NDArray[np.bool_] = field(default_factory=no_flags)
    box_truncated: NDArray[np.bool_] = field(default_factory=no_flags)
    box_crowd: NDArray[np.bool_] = field(default_factory=no_flags)
    mask: bytes | None = None
    blacklisted: bool = False

    @classmethod
    def from_boxes(
        cls,
        boxes_xyxy: NDArray[np.float32],
        box_labels: NDArray[np.int32],
        box_difficult: NDArray[np.bool_] | None = None,
        box_truncated: NDArray[np.bool_] | None = None,
        box_crowd: NDArray[np.bool_] | None = None,
    ) -> GroundTruth:
        """Derive the image-level labels from the boxes; flags that are not given are false."""
        box_difficult, box_truncated, box_crowd = (
            np.zeros(len(box_labels), np.bool_) if flags is None else flags.astype(np.bool_)
            for flags in (box_difficult, box_truncated, box_crowd)
        )
        present = {int(label) for label in box_labels}
        easy = {int(label) for label in box_labels[~box_difficult]}
        return cls(
            labels=tuple(sorted(easy)),
            difficult_labels=tuple(sorted(present - easy)),
            boxes_xyxy=boxes_xyxy.astype(np.float32).reshape(-1, 4),
            box_labels=box_labels.astype(np.int32),
            box_difficult=box_difficult,
            box_truncated=box_truncated,
            box_crowd=box_crowd,
        )

    @property
    def box_required(self) -> NDArray[np.bool_]:
        """(N,) whether a detector has to find the box: not difficult, not a crowd."""
        required: NDArray[np.bool_] = ~self.box_difficult & ~self.box_crowd
        return required

    def boxes_of(self, label: int, *, difficult: bool = True) -> NDArray[np.float32]:
        """(M, 4) boxes of single objects of a class; without difficult ones if so asked."""
        keep = (self.box_labels == label) & ~self.box_crowd
        if not difficult:
            keep &= ~self.box_difficult
        chosen: NDArray[np.float32] = self.boxes_xyxy[keep]
        return chosen


@dataclass(frozen=True, slots=True)
class Record:
    """One image: its original bytes (never recompressed), upright size and ground truth."""

    image_id: str
    split: str
    image: bytes
    width: int
    height: int
    truth: GroundTruth


TRUTH_FIELDS = [
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("labels", pa.list_(pa.int32()), nullable=False),
    pa.field("difficult_labels", pa.list_(pa.int32()), nullable=False),
    pa.field("boxes_xyxy", pa.list_(pa.float32()), nullable=False),  # flat, four per box
    pa.field("box_labels", pa.list_(pa.int32()), nullable=False),
    pa.field("box_difficult", pa.list_(pa.bool_()), nullable=False),
    pa.field("box_truncated", pa.list_(pa.bool_()), nullable=False),
    pa.field("box_crowd", pa.list_(pa.bool_()), nullable=False),
    pa.field("mask", pa.binary()),  # PNG, null without
    pa.field("blacklisted", pa.bool_(), nullable=False),
]
RECORD_SCHEMA = pa.schema([*TRUTH_FIELDS, pa.field("image", pa.binary(), nullable=False)])


def truth_columns(truth: GroundTruth) -> dict[str, object]:
    """The ground-truth columns of one row."""
    return {
        "labels": list(truth.labels),
        "difficult_labels": list(truth.difficult_labels),
        "boxes_xyxy": truth.boxes_xyxy.ravel().tolist(),
        "box_labels": truth.box_labels.tolist(),
        "box_difficult": truth.box_difficult.tolist(),
        "box_truncated": truth.box_truncated.tolist(),
        "box_crowd": truth.box_crowd.tolist(),
        "mask": truth.mask,
        "blacklisted": truth.blacklisted,
    }


def truth_from_row(row: dict[str, object]) -> GroundTruth:
    """Inverse of `truth_columns`."""
    return GroundTruth(
        labels=tuple(row["labels"]),  # type: ignore[arg-type]
        difficult_labels=tuple(row["difficult_labels"]),  # type: ignore[arg-type]
        boxes_xyxy=np.asarray(row["boxes_xyxy"], dtype=np.float32).reshape(-1, 4),
        box_labels=np.asarray(row["box_labels"], dtype=np.int32),
        box_difficult=np.asarray(row["box_difficult"], dtype=np.bool_),
        box_truncated=np.asarray(row["box_truncated"], dtype=np.bool_),
        box_crowd=np.asarray(row["box_crowd"], dtype=np.bool_),
        mask=row["mask"],  # type: ignore[arg-type]
        blacklisted=bool(row["blacklisted"]),
    )


def records_to_table(records: list[Record]) -> pa.Table:
    """Arrow table with RECORD_SCHEMA."""
    rows = [
        {
            "image_id": r.image_id,
            "split": r.split,
            "width": r.width,
            "height": r.height,
            "image": r.image,
            **truth_columns(r.truth),
        }
        for r in records
    ]
    return pa.Table.from_pylist(rows, schema=RECORD_SCHEMA)


def record_from_row(row: dict[str, object]) -> Record:
    """One row of a shard (as from `Table.to_pylist`) as a Record."""
    return Record(
        image_id=str(row["image_id"]),
        split=str(row["split"]),
        image=row["image"],  # type: ignore[arg-type]
        width=int(row["width"]),  # type: ignore[call-overload]
        height=int(row["height"]),  # type: ignore[call-overload]
        truth=truth_from_row(row),
    )


Task = Literal["multilabel", "singlelabel"]
