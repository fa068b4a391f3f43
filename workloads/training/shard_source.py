"""The images of a split of shards as epochs show them: order, records, batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workloads.errors import ConfigError
from workloads.records import Record
from workloads.shards.read import row_groups
from workloads.training.balance import Balance
from workloads.training.batch import Batch, Sample, collate
from workloads.training.order import BatchPlan, LastBatch, Showings, Stretch, epoch_order
from workloads.training.row_reader import RowReader
from workloads.training.share import Share
from workloads.training.showing import Showing


@dataclass(frozen=True, slots=True)
class Pace:
    """Numbers of images that are taken at once, and how far ahead of their use.

    Attributes:
        batch_size: images in a batch of all workers together.
        last_batch: what becomes of images that do not fill one, see `BatchPlan`.
        threads: that decode beside the training step; 0 decodes in its own thread.
    """

    batch_size: int
    last_batch: LastBatch = "drop"
    threads: int = 0

    @property
    def batches_ahead(self) -> int:
        """Batches that are ready before they are asked for."""
        return 2 if self.threads else 0


def check_images(folder: Path, split: str, images: int, workers: int, pace: Pace) -> None:
    """Refuse a split that does not fill one batch.

    Args:
        images: showings of an epoch.

    Raises:
        ConfigError: it does not, or workers would be without an image in every batch.
    """
    if pace.batch_size < workers:
        raise ConfigError(
            f"train.batch_size is {pace.batch_size} for {workers} workers, at least one image for "
            "each is needed; raise it or lower resources.train.workers"
        )
    least = workers if pace.last_batch == "short" else pace.batch_size
    if images < least:
        raise ConfigError(
            f"{folder}: split '{split}' has {images} images, fewer than one batch of {least}; add "
            "images to it, or take a recipe whose train.batch_size is lower"
        )


class Turn(NamedTuple):
    """A record in its turn of an epoch.

    Attributes:
        row: its number in the split.
        copy: how often the epoch has shown it before.
    """

    record: Record
    row: int
    copy: int


@dataclass
class ShardSource:
    """One split of shards to learn from.

    Attributes:
        pool_rows: images among which the next one is drawn.
        balance: how often images are repeated in an epoch; None for once each.

    Raises:
        ConfigError: proposals are needed, and there are none.
        NotFound: no shards there, or no such split.
    """

    folder: Path
    split: str
    num_classes: int
    showing: Showing
    seed: int = 0
    pool_rows: int = 2048
    balance: Balance | None = None
    images: int = field(init=False)

    def __post_init__(self) -> None:
        self.groups = row_groups(self.folder, self.split)
        if "saliency" in self.showing.needs and self.showing.proposals is None:
            raise ConfigError(
                f"the method learns from object proposals: run 'wsol proposals {self.folder} "
                f"--split {self.split}' and give its folder with --proposals"
            )
        rows = sum(group.rows for group in self.groups)
        self.images = rows if self.balance is None else self.balance.images

    def plan(self, pace: Pace, share: Share, past: Sequence[Stretch] = ()) -> BatchPlan:
        """Batches that are left of an epoch."""
        done = sum(stretch.steps * stretch.batch for stretch in past)
        left = max(self.images - done, 0)
        return BatchPlan(left, pace.batch_size, share.world, pace.last_batch)

    def showings(self, epoch: int) -> Showings:
        """All showings of an epoch in their order, whoever shows them."""
        times = None if self.balance is None else self.balance.times(self.seed, epoch)
        rows = [group.rows for group in self.groups]
        order = epoch_order(rows, self.seed, epoch, self.pool_rows, times)
        return Showings(order.rows[: self.images], order.copies[: self.images])

    def turns(self, some: Showings) -> Iterator[Turn]:
        """Records of some showings, one by one.

        Raises:
            IntegrityError: a shard was changed or removed since it was opened.
        """
        records = RowReader(self.groups).records(some.rows)
        yield from map(Turn, records, some.rows.tolist(), some.copies.tolist())

    def sample(self, turn: Turn, epoch: int) -> Sample:
        """A record as an epoch shows it: row, copy and epoch decide how."""
        rng = np.random.default_rng([self.seed, epoch, turn.row, turn.copy])
        return self.showing.sample(turn.record, rng, repeated=turn.copy > 0)

    def batch(self, samples: list[Sample], weight: float) -> Batch:
        """Samples as a batch of that weight."""
        return collate(samples, self.num_classes, self.showing.needs)._replace(weight=weight)
