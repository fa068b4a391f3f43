"""The stages of the loader on Ray Data, one after the other in this process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from made_shards import made_record, write_shards

from orchestrator.train import ray_data_loader
from orchestrator.train.ray_data_loader import RayDataLoader, _Reader
from workloads.records import GroundTruth
from workloads.training.augmentation import Augmentation
from workloads.training.batch import Batch
from workloads.training.order import Stretch
from workloads.training.shard_source import Pace, ShardSource
from workloads.training.share import Share
from workloads.training.showing import Showing

WORLD, EPOCHS = 2, 3


def test_rows_come_in_the_order_of_steps_and_workers_and_show_each_image_once(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Of 25 images in batches of 10, of which 4 were done by one worker; reads of two steps."""
    monkeypatch.setattr(ray_data_loader, "IMAGES_PER_READ", 20)
    records = [made_record(f"{i}", GroundTruth((0,)), (20 + i, 30)) for i in range(25)]
    folder = write_shards(tmp_path / "shards", records, "a", rows_per_file=9, rows_per_group=4)
    source = ShardSource(folder, "train", 1, Showing(Augmentation(8)), pool_rows=8)
    pace, team = Pace(10, "short"), SimpleNamespace(share=Share(0, WORLD))
    past = [Stretch(1, 1, 4)]
    loader = RayDataLoader(source, pace, team, EPOCHS)
    reader = _Reader(source, pace, WORLD)
    reads = list(loader._reads(1, past))
    assert [(read["epoch"], read["steps"]) for read in reads] == [
        (1, [0, 2]), (1, [2, 3]), (2, [0, 2]), (2, [2, 3]),
    ]  # fmt: skip
    rows = [reader.decode(row) for read in reads for row in reader.read(read)]
    assert [tuple(row["place"]) for row in rows] == [
        (epoch, first + step, rank)
        for epoch, first in ((1, 1), (2, 0))
        for step in range(3)
        for rank in range(WORLD)
    ]
    batches: list[Batch] = [row["batch"] for row in rows]
    assert [batch.counted for batch in batches] == [5, 5, 5, 5, 1, 0, 5, 5, 5, 5, 3, 2]
    order = source.showings(1).rows[4:]
    shown = [name for batch in batches[:6] if batch.weight for name in batch.image_ids]
    assert shown == [str(row) for row in order]
    everything = [name for batch in batches[6:] for name in batch.image_ids]
    assert sorted(everything, key=int) == [str(i) for i in range(25)]
