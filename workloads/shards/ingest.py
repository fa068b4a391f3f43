"""Ingest a data set in this process, from its layout on disk to sealed shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from workloads.datasets.base import Dataset
from workloads.datasets.remarks import reading
from workloads.images.decode import ImageLimits
from workloads.shards.shards import Shards
from workloads.shards.write import finish_shards, ingest_shard, plan_shards, split_duplicates

SHARD_BYTES = 64 * 2**20


def ingest(
    dataset: Dataset,
    folder: Path,
    splits: Sequence[str] = (),
    *,
    shard_bytes: int = SHARD_BYTES,
    limits: ImageLimits | None = None,
    on_images: Callable[[int], None] = lambda _: None,
) -> Shards:
    """Shards of a data set; what cannot be used is quarantined with its reason.

    Args:
        splits: which ones; all that the layout has if empty.
        shard_bytes: image bytes per shard.
        on_images: is told the number of images of each shard, as it is written.

    Raises:
        NotFound: no such split.
        IntegrityError: read + quarantined is not listed.
    """
    chosen = tuple(splits) or dataset.splits()
    with reading() as remarks:
        listed = [item for split in chosen for item in dataset.items(split)]
    items, repeated = split_duplicates(listed)
    results = []
    for split, of_split in groupby(items, key=lambda item: item.split):
        for index, some in enumerate(plan_shards(list(of_split), shard_bytes)):
            path = folder / f"{split}-{index:05d}.parquet"
            results.append(ingest_shard(dataset, some, path, limits or ImageLimits()))
            on_images(len(some))
    counts = Counter(item.split for item in listed)
    finish_shards(folder, dataset, {s: counts[s] for s in chosen}, results, repeated, remarks)
    return Shards.open(folder)
