"""Annotate a listed folder chunk by chunk, one Parquet part per chunk.

The set of parts is the ledger of a job: a part is written whole or not at all, under a name that
depends on its place in the listing alone, and has one row for each of its chunk's files, be it
read or quarantined. So every file is counted exactly once, however often the job was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workloads.artifacts import atomic_file, digest
from workloads.detections import Detections
from workloads.errors import InputRejected, IntegrityError
from workloads.formats import AnnotatedImage
from workloads.images.decode import ImageLimits, decode
from workloads.listing import ListedFile, read_image_file
from workloads.records import no_boxes

# At most this much is decoded at the same time: photographs of a phone have 12 million pixels.
BATCH_IMAGES = 16
BATCH_PIXELS = 64_000_000

PART_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # why it is quarantined, null if it was read
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("boxes_xyxy", pa.list_(pa.float32()), nullable=False),  # flat, four per box
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("labels", pa.list_(pa.int32()), nullable=False),
    ]
)
_NOTHING = Detections(no_boxes(), np.zeros(0, np.float32), np.zeros(0, np.int32), 0, 0)


class Detector(Protocol):
    """What annotation needs of a localizer."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Boxes of each (H, W, 3) uint8 upright RGB image."""


@dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """One listed file without annotations, and why."""

    image_id: int
    file_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What became of the files of one chunk, in the order of the listing.

    Attributes:
        rows: images that were read.
        quarantined: files that were not; `len(rows) + len(quarantined)` is the chunk's size.
    """

    rows: tuple[AnnotatedImage, ...]
    quarantined: tuple[QuarantinedFile, ...]

    @property
    def boxes(self) -> int:
        """Number of boxes in all images."""
        return sum(len(row.detections) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a job in their fixed order, cut in chunks of the same size."""

    files: tuple[ListedFile, ...]
    chunk_images: int

    @property
    def digest(self) -> str:
        """SHA-256 over names, sizes and times of change."""
        return digest({"files": [list(asdict(file).values()) for file in self.files]})

    @property
    def chunks(self) -> range:
        """Indices of the chunks."""
        return range(-(-len(self.files) // self.chunk_images))

    def chunk(self, index: int) -> tuple[ListedFile, ...]:
        """The files of one chunk."""
        first = index * self.chunk_images
        return self.files[first : first + self.chunk_images]

    def first_id(self, index: int) -> int:
        """Image id of a chunk's first file; ids are positions in the listing, from 1."""
        return index * self.chunk_images + 1


def part_path(folder: Path, index: int) -> Path:
    """Where the part of one chunk is, whether it is written yet or not."""
    return folder / f"part-{index:06d}.parquet"


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
    batch: list[tuple[int, str, NDArray[np.uint8]]] = []
    for image_id, file in enumerate(files, start=first_id):
        try:
            image = _read(folder, file, limits)
        except InputRejected as error:
            quarantined.append(QuarantinedFile(image_id, file.name, str(error)))
            continue
        batch.append((image_id, file.name, image))
        if _is_full(batch):
            rows += _detect(detector, batch)
            batch = []
    rows += _detect(detector, batch)
    return ChunkResult(tuple(rows), tuple(quarantined))


def write_part(path: Path, result: ChunkResult) -> None:
    """Write the part of one chunk whole or not at all."""
    rows = [_row(r.image_id, r.file_name, None, r.detections) for r in result.rows]
    rows += [_row(q.image_id, q.file_name, q.reason, _NOTHING) for q in result.quarantined]
    rows.sort(key=lambda row: int(row["image_id"]))
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=PART_SCHEMA), temporary)


def read_part(path: Path) -> ChunkResult:
    """Inverse of `write_part`.

    Raises:
        IntegrityError: missing, or not such a part.
    """
    try:
        rows = pq.ParquetFile(path).read().cast(PART_SCHEMA).to_pylist()
    except (FileNotFoundError, pa.ArrowException) as error:
        problem = " ".join(str(error).split())
        raise IntegrityError(
            f"{path}: not a readable part ({problem}); remove it and run the same command again"
        ) from None
    return ChunkResult(
        tuple(_annotated(row) for row in rows if row["reason"] is None),
        tuple(
            QuarantinedFile(row["image_id"], row["file_name"], row["reason"])
            for row in rows
            if row["reason"] is not None
        ),
    )


def read_parts(folder: Path, listing: Listing) -> Iterator[ChunkResult]:
    """All parts in order, each checked against the listing.

    Raises:
        IntegrityError: a part is missing or is not that of its chunk.
    """
    for index in listing.chunks:
        result = read_part(part_path(folder, index))
        found = [(row.image_id, row.file_name) for row in result.rows]
        found += [(row.image_id, row.file_name) for row in result.quarantined]
        names = [file.name for file in listing.chunk(index)]
        if sorted(found) != list(enumerate(names, start=listing.first_id(index))):
            raise IntegrityError(
                f"{part_path(folder, index)}: does not hold the files of chunk {index}; "
                "remove it and run the same command again"
            )
        yield result


def _read(folder: Path, file: ListedFile, limits: ImageLimits) -> NDArray[np.uint8]:
    if file.refused is not None:
        raise InputRejected(file.refused)
    return decode(read_image_file(folder / file.name, limits), limits)


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


def _row(image_id: int, file_name: str, reason: str | None, found: Detections) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "file_name": file_name,
        "reason": reason,
        "width": found.width,
        "height": found.height,
        "boxes_xyxy": found.boxes_xyxy.ravel().tolist(),
        "scores": found.scores.tolist(),
        "labels": found.labels.tolist(),
    }


def _annotated(row: dict[str, Any]) -> AnnotatedImage:
    detections = Detections(
        boxes_xyxy=np.asarray(row["boxes_xyxy"], dtype=np.float32).reshape(-1, 4),
        scores=np.asarray(row["scores"], dtype=np.float32),
        labels=np.asarray(row["labels"], dtype=np.int32),
        width=row["width"],
        height=row["height"],
    )
    return AnnotatedImage(row["image_id"], row["file_name"], detections)
