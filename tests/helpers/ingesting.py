"""Ingestion without a cluster: what the tests of every layout read back through shards."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from workloads.datasets.base import Dataset, Item
from workloads.images.decode import ImageLimits
from workloads.records import Record, record_from_row
from workloads.shards.quarantine import Quarantined
from workloads.shards.write import finish_shards, ingest_shard, split_duplicates


def ingest_split(
    dataset: Dataset, items: Sequence[Item], out: Path
) -> tuple[list[Record], list[Quarantined]]:
    """Records and quarantined items of one split; its folder is sealed, so the counts add up."""
    kept, repeated = split_duplicates(items)
    split = kept[0].split
    path = out / split / "0.parquet"
    result = ingest_shard(dataset, kept, path, ImageLimits())
    finish_shards(path.parent, dataset, {split: len(items)}, [result], repeated)
    return read_rows(path), repeated + result.quarantined


def ingest_all(dataset: Dataset, out: Path) -> dict[str, Record]:
    """Image id to record, of all splits, read as a worker does: with a pickled data set."""
    worker = pickle.loads(pickle.dumps(dataset))
    records: dict[str, Record] = {}
    results, repeated, listed = [], [], {}
    for split in worker.splits():
        items, again = split_duplicates(worker.items(split))
        results.append(ingest_shard(worker, items, out / f"{split}.parquet", ImageLimits()))
        listed[split], repeated = len(items) + len(again), repeated + again
        records |= {r.image_id: r for r in read_rows(out / f"{split}.parquet")}
    finish_shards(out, worker, listed, results, repeated)
    return records


def read_rows(path: Path) -> list[Record]:
    """The records of one shard."""
    return [record_from_row(row) for row in pq.read_table(path).to_pylist()]
