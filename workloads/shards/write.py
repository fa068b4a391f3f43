"""Shards: a data set as Parquet files of upright, checked images with their truth.

These are the pieces of ingestion that need no cluster; `orchestrator.ingest` spreads them over
one. A shard folder is an artifact: Parquet files, `quarantine.jsonl`, and a manifest that says
what was listed, read and quarantined per split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workloads.artifacts import QUARANTINE, seal, sha256, unseal
from workloads.datasets.base import NO_FILE, Dataset, Item
from workloads.datasets.frames import read_truth
from workloads.datasets.remarks import reading
from workloads.errors import InputRejected, IntegrityError
from workloads.images.decode import ImageLimits, decode_oriented
from workloads.parquet import ParquetWriter, parquet_writer
from workloads.records import RECORD_SCHEMA, Record, records_to_table
from workloads.shards.manifest import ShardFile, ShardManifest, SplitInfo
from workloads.shards.quarantine import Quarantined, write_quarantine
from workloads.storage.storage import storage_of

# What a reader, and the writer, holds in memory at once.
ROWS_PER_GROUP = 256
BYTES_PER_GROUP = 16 * 2**20


@dataclass(frozen=True, slots=True)
class ShardResult:
    """Result of one shard. JSON values only: `ShardResult(**asdict(result))` is the same.

    Attributes:
        split: the split of all its items.
        file: name of the Parquet file.
        rows: images in it.
        num_bytes: size of the file.
        sha256: of the file, hexadecimal.
        label_counts: per class, the images with an object of it that is not difficult.
        quarantined: the items that are not in it.
        remarks: what was read leniently or should be known of it, and how often.
    """

    split: str
    file: str
    rows: int
    num_bytes: int
    sha256: str
    label_counts: list[int]
    quarantined: list[Quarantined] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)


def split_duplicates(items: Iterable[Item]) -> tuple[list[Item], list[Quarantined]]:
    """The first of each (split, image id), and a quarantine entry for each repetition."""
    first: dict[tuple[str, str], Item] = {}
    repeated = []
    for item in items:
        if first.setdefault((item.split, item.image_id), item) is not item:
            repeated.append(_quarantine(item, f"listed twice in split '{item.split}'"))
    return list(first.values()), repeated


def plan_shards(items: Sequence[Item], target_bytes: int) -> list[list[Item]]:
    """Cut a list, in order, into shards of at most `target_bytes` of images, at least one each.

    Raises:
        ValueError: `target_bytes` is below 1.
    """
    if target_bytes < 1:
        raise ValueError(f"target_bytes is {target_bytes}; give at least 1")
    shards: list[list[Item]] = []
    room = 0
    for item in items:
        if not shards or item.num_bytes > room:
            shards.append([])
            room = target_bytes
        shards[-1].append(item)
        room -= item.num_bytes
    return shards


def ingest_shard(
    dataset: Dataset,
    items: Sequence[Item],
    path: Path,
    limits: ImageLimits,
    *,
    strict: bool = False,
) -> ShardResult:
    """Check images and write them as one Parquet file, whole or not at all.

    Every image is decoded once, to be sure that it can be. A bad or missing image or annotation
    does not end it: it is quarantined with its reason.

    Args:
        dataset: what the items belong to.
        items: at least one, all of one split.
        path: the Parquet file.
        limits: what an image may cost.
        strict: quarantine what is not just as its layout has it, instead of reading it leniently.

    Raises:
        ValueError: no items, or items of several splits.
        OSError: the file system failed otherwise (disk full, say); no file is left.
    """
    splits = {item.split for item in items}
    if len(splits) != 1:
        raise ValueError(f"a shard has items of one split, given {sorted(splits)}")
    quarantined: list[Quarantined] = []
    remarks: Counter[str] = Counter()
    counts = np.zeros(len(dataset.classes), np.int64)
    rows = 0
    with _writer(path) as writer:
        records = _good_records(dataset, items, limits, quarantined, remarks, strict=strict)
        for group in _groups(records):
            writer.write_table(records_to_table(group))
            rows += len(group)
            for record in group:
                counts[list(record.truth.labels)] += 1
    return ShardResult(
        split=splits.pop(),
        file=path.name,
        rows=rows,
        num_bytes=storage_of(path).size(path),
        sha256=sha256(path),
        label_counts=counts.tolist(),
        quarantined=quarantined,
        remarks=dict(sorted(remarks.items())),
    )


def finish_shards(
    folder: Path,
    dataset: Dataset,
    listed: Mapping[str, int],
    results: Sequence[ShardResult],
    repeated: Sequence[Quarantined] = (),
    remarks: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Check that every listed image is accounted for, write the quarantine, seal the folder.

    Args:
        folder: where the Parquet files of `results` are.
        dataset: what was ingested.
        listed: split to the number of images on its list, faulty ones and repetitions included.
        results: of all shards, in order.
        repeated: what `split_duplicates` left out.
        remarks: those of the listing.

    Returns:
        The manifest.

    Raises:
        IntegrityError: read + quarantined is not listed, a shard is missing, or a shard is not
            what its result says. The folder is not sealed then.
    """
    rejected = [*repeated, *(entry for result in results for entry in result.quarantined)]
    splits = {}
    for split, count in listed.items():
        chosen = [result for result in results if result.split == split]
        bad = sum(entry.split == split for entry in rejected)
        splits[split] = _split_info(dataset, split, count, chosen, bad)
    _check_files(folder, results)
    write_quarantine(folder / QUARANTINE, rejected)
    facts = ShardManifest(
        dataset=dataset.name,
        task=dataset.found_task(),
        classes=dataset.classes,
        splits=splits,
        remarks=dict(sorted(all_remarks(remarks or {}, results).items())),
    )
    manifest = seal(folder, kind="shards", **facts.model_dump(mode="json"))
    # After sealing, because it has hashed every file anyway.
    changed = [r.file for r in results if manifest["files"][r.file] != r.sha256]
    if changed:
        unseal(folder)
        raise IntegrityError(f"{folder / changed[0]}: changed since it was written; ingest again")
    return manifest


def all_remarks(of_listing: Mapping[str, int], results: Iterable[ShardResult]) -> Counter[str]:
    """Remarks of the listing and of all shards, added."""
    remarks = Counter(of_listing)
    for result in results:
        remarks.update(result.remarks)
    return remarks


def _good_records(
    dataset: Dataset,
    items: Iterable[Item],
    limits: ImageLimits,
    quarantined: list[Quarantined],
    remarks: Counter[str],
    *,
    strict: bool,
) -> Iterator[Record]:
    for item in items:
        try:
            with reading(strict=strict) as of_image:
                record = _read(dataset, item, limits)
            remarks.update(of_image)  # of an image that is left out nothing is said but why
            yield record
        except InputRejected as error:
            quarantined.append(_quarantine(item, str(error)))
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            quarantined.append(_quarantine(item, "no such file; add it or unlist the image"))


def _groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Row groups: as many records as fit both limits, at least one."""
    group: list[Record] = []
    room = BYTES_PER_GROUP
    for record in records:
        if group and (len(group) == ROWS_PER_GROUP or len(record.image) > room):
            yield group
            group, room = [], BYTES_PER_GROUP
        group.append(record)
        room -= len(record.image)
    if group:
        yield group


def _read(dataset: Dataset, item: Item, limits: ImageLimits) -> Record:
    if item.fault:
        raise InputRejected(item.fault)
    data = dataset.read_image(item, limits)
    pixels, orientation = decode_oriented(data, limits)
    height, width = pixels.shape[:2]
    truth = read_truth(dataset, item, width, height, orientation)
    return Record(item.image_id, item.split, data, width, height, truth)


def _quarantine(item: Item, reason: str) -> Quarantined:
    return Quarantined(item.image_id, item.image_path, item.split, reason)


def _writer(path: Path) -> AbstractContextManager[ParquetWriter]:
    # Images are compressed already; statistics and dictionaries of them would only cost.
    names = [leaf for leaf in _leaves() if leaf != "image"]
    return parquet_writer(
        path,
        RECORD_SCHEMA,
        compression={"image": "NONE", **dict.fromkeys(names, "ZSTD")},
        use_dictionary=names,
        write_statistics=names,
    )


def _leaves() -> list[str]:
    lists = {f.name for f in RECORD_SCHEMA if pa.types.is_list(f.type)}
    return [f"{name}.list.element" if name in lists else name for name in RECORD_SCHEMA.names]


def _split_info(
    dataset: Dataset, split: str, listed: int, results: Sequence[ShardResult], quarantined: int
) -> SplitInfo:
    read = sum(result.rows for result in results)
    if read + quarantined != listed:
        raise IntegrityError(
            f"split '{split}' of {dataset.name}: {read} read + {quarantined} quarantined is not "
            f"{listed} listed; the lists changed or shards are missing; ingest again"
        )
    counts = np.array([r.label_counts for r in results], np.int64).reshape(-1, len(dataset.classes))
    return SplitInfo(
        listed=listed,
        read=read,
        quarantined=quarantined,
        shards=tuple(ShardFile(file=r.file, rows=r.rows) for r in results),
        label_counts=tuple(counts.sum(axis=0).tolist()),
    )


def _check_files(folder: Path, results: Sequence[ShardResult]) -> None:
    known = [result.file for result in results]
    there = storage_of(folder).files(folder)
    found = {p.name for p in there if p.parent == folder and p.suffix == ".parquet"}
    for name in sorted(found.symmetric_difference(known)):
        state = "not a shard of this data set" if name in found else "missing"
        raise IntegrityError(f"{folder / name}: {state}; remove the folder and ingest again")
    if len(set(known)) != len(known):
        raise IntegrityError(f"{folder}: two shards have one file name; ingest again")
