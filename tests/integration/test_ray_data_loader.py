"""Ray Data hands each worker its own part of each batch, from any step on."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_shards import made_record, write_shards
from samples import make_settings

from orchestrator.engine.connect import connect
from orchestrator.train.ray_data_loader import RayDataLoader
from workloads.records import GroundTruth
from workloads.training.augmentation import Augmentation
from workloads.training.batch import Batch
from workloads.training.order import Showings, Stretch, dealt_in_turn
from workloads.training.shard_source import Pace, ShardSource
from workloads.training.share import Share
from workloads.training.showing import Showing

WORLD, EPOCHS, BATCH = 2, 2, 10
PAST = [Stretch(3, 1, 8)]  # one worker began the first epoch, with smaller batches


@pytest.mark.long  # its stages are in CI: orchestrator/train/test_ray_data_stages.py
def test_each_worker_has_its_part_of_every_batch(joined: str, tmp_path: Path) -> None:
    records = [made_record(f"{i}", GroundTruth((i % 3,)), (20 + i, 30)) for i in range(65)]
    folder = write_shards(tmp_path / "shards", records, "abc", rows_per_file=20, rows_per_group=7)
    source = ShardSource(folder, "train", 3, Showing(Augmentation(8, margin=4)), pool_rows=16)
    team, pace = Threads(), Pace(BATCH, "short")

    def batches(rank: int) -> list[Batch]:
        loader = RayDataLoader(source, pace, team.of(rank), EPOCHS)
        return [*loader.batches(0, PAST), *loader.batches(1)]

    with connect(make_settings(tmp_path, joined)), ThreadPoolExecutor(WORLD) as pool:
        found = list(pool.map(batches, range(WORLD)))
    for rank, of_worker in enumerate(found):
        # 41 images are left of the first epoch: 4 x 10 and 1; the second has 6 x 10 and 5.
        assert [batch.counted for batch in of_worker] == [
            *[5] * 4, 1 - rank, *[5] * 6, 3 - rank,
        ]  # fmt: skip
        samples = expected(source, pace, Share(rank, WORLD))
        counted = [batch for batch in of_worker if batch.weight]
        pixels = torch.cat([batch.images for batch in counted]).numpy()
        np.testing.assert_array_equal(pixels, np.stack([s.pixels for s in samples]))
        assert [name for batch in counted for name in batch.image_ids] == [
            sample.record.image_id for sample in samples
        ]


def expected(source: ShardSource, pace: Pace, share: Share) -> list[Any]:
    """Samples of one worker, without Ray."""
    samples: list[Any] = []
    for epoch, past in enumerate([PAST, []]):
        order = source.showings(epoch)
        places = dealt_in_turn(past, source.plan(pace, share, past), share)
        turns = source.turns(Showings(order.rows[places], order.copies[places]))
        samples += [source.sample(turn, epoch) for turn in turns]
    return samples


class Threads:
    """A team whose workers are threads of this process."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(WORLD)
        self.said: list[Any] = [None] * WORLD

    def of(self, rank: int) -> Any:
        return SimpleNamespace(share=Share(rank, WORLD), first=partial(self._first, rank))

    def _first(self, rank: int, value: Any) -> Any:
        self.said[rank] = value
        self.barrier.wait()
        return self.said[0]
