"""Shards straight from records: any truth, cut in any way, without a data set on disk."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from workloads.artifacts import QUARANTINE, seal, write_text
from workloads.records import GroundTruth, Record, Task, records_to_table
from workloads.shards.manifest import ShardFile, ShardManifest, SplitInfo
from workloads.shards.quarantine import Quarantined


def write_shards(
    folder: Path,
    records: Sequence[Record],
    classes: Sequence[str],
    *,
    task: Task = "multilabel",
    rows_per_file: int = 100,
    rows_per_group: int = 100,
    quarantined: Sequence[Quarantined] = (),
) -> Path:
    """Write finished shards of all splits that records or quarantine name."""
    folder.mkdir(parents=True)
    splits = {}
    for split in dict.fromkeys([r.split for r in records] + [q.split for q in quarantined]):
        chosen = [record for record in records if record.split == split]
        bad = sum(entry.split == split for entry in quarantined)
        splits[split] = SplitInfo(
            listed=len(chosen) + bad,
            read=len(chosen),
            quarantined=bad,
            shards=tuple(_write(folder, split, chosen, rows_per_file, rows_per_group)),
            label_counts=tuple(_label_counts(chosen, len(classes))),
        )
    lines = [json.dumps(asdict(entry)) + "\n" for entry in quarantined]
    write_text(folder / QUARANTINE, "".join(lines))
    manifest = ShardManifest(dataset="made", task=task, classes=tuple(classes), splits=splits)
    seal(folder, kind="shards", **manifest.model_dump(mode="json"))
    return folder


def made_record(
    image_id: str,
    truth: GroundTruth,
    size: tuple[int, int] = (40, 30),
    split: str = "train",
    image: bytes | None = None,
) -> Record:
    """A record of `size` (width, height); its image is plain if none is given."""
    return Record(image_id, split, plain_image(size) if image is None else image, *size, truth)


def plain_image(size: tuple[int, int]) -> bytes:
    """PNG of one colour, which depends on the size."""
    stream = io.BytesIO()
    Image.new("RGB", size, (size[0] % 256, size[1] % 256, 128)).save(stream, "PNG")
    return stream.getvalue()


def made_truth(*boxes: tuple[int, tuple[float, float, float, float]], **flags: list) -> GroundTruth:
    """The truth of boxes, each with its label."""
    return GroundTruth.from_boxes(
        np.array([box for _, box in boxes], np.float32).reshape(-1, 4),
        np.array([label for label, _ in boxes], np.int32),
        **{name: np.array(values, np.bool_) for name, values in flags.items()},
    )


def _write(
    folder: Path, split: str, records: Sequence[Record], rows_per_file: int, rows_per_group: int
) -> list[ShardFile]:
    files = []
    for start in range(0, len(records), rows_per_file):
        chosen = list(records[start : start + rows_per_file])
        name = f"{split}-{len(files):05d}.parquet"
        pq.write_table(records_to_table(chosen), folder / name, row_group_size=rows_per_group)
        files.append(ShardFile(file=name, rows=len(chosen)))
    return files


def _label_counts(records: Sequence[Record], num_classes: int) -> list[int]:
    return [sum(label in r.truth.labels for r in records) for label in range(num_classes)]
