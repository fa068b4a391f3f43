"""Batches of training images straight from shards.

Each worker gets whole row groups, shuffles their rows in a bounded pool, and decodes them. The
order depends only on (seed, epoch, rank, world), so a resumed run sees what it would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.errors import ConfigError
from workloads.images.decode import ImageLimits, decode
from workloads.images.view import View
from workloads.methods.base import Need
from workloads.proposals.store import ProposalStore
from workloads.records import Record
from workloads.shards.read import RowGroup, row_groups
from workloads.training.augmentation import Augmentation
from workloads.training.balance import Balance
from workloads.training.batch import Batch, Sample, collate


@dataclass(frozen=True, slots=True)
class Share:
    """This worker's part of the work."""

    rank: int = 0
    world: int = 1


class ShardLoader:
    """Training batches of one split for one worker.

    Args:
        needs: what batches must hold beside labels.
        proposals: those of the split, for "saliency"; nothing else is read from them.
        balance: how often images are repeated in an epoch; None for once each. An epoch has
            as many steps as fit into the images that it shows on average.

    Raises:
        ConfigError: the split has fewer images than one batch over all workers needs, there are
            no proposals and some are needed, or repeats are turned and boxes are needed.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        num_classes: int,
        augmentation: Augmentation,
        batch_size: int,
        share: Share,
        seed: int,
        limits: ImageLimits,
        threads: int = 0,
        pool_rows: int = 2048,
        needs: frozenset[Need] = frozenset(),
        proposals: ProposalStore | None = None,
        balance: Balance | None = None,
    ) -> None:
        self.groups = row_groups(folder, split)
        self.num_classes = num_classes
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.share = share
        self.seed = seed
        self.limits = limits
        self.threads = threads
        self.pool_rows = pool_rows
        self.needs = needs
        self.proposals = proposals
        if "saliency" in needs and proposals is None:
            raise ConfigError(
                f"the method learns from object proposals: run 'wsol proposals {folder} --split "
                f"{split}' and give its folder with --proposals"
            )
        self.balance = balance
        if "boxes" in needs and augmentation.rotation_deg:
            raise ConfigError(
                "the method learns from boxes, which cannot be turned: set train.rotation_deg to 0"
            )
        total = sum(group.rows for group in self.groups) if balance is None else int(balance.images)
        self.steps = total // (share.world * batch_size)
        if self.steps == 0:
            raise ConfigError(
                f"{folder}: split '{split}' has {total} images, fewer than one batch of "
                f"{share.world} workers x {batch_size}; lower train.batch_size"
            )

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Exactly `steps` batches on every worker."""
        decoded = self._decode(self._limited(epoch), epoch)
        for _ in range(self.steps):
            samples = [next(decoded) for _ in range(self.batch_size)]
            yield collate(samples, self.num_classes, self.needs)

    def _limited(self, epoch: int) -> Iterator[_Showing]:
        shuffled = self._shuffled(epoch)
        for _ in range(self.steps * self.batch_size):
            yield next(shuffled)

    def _shuffled(self, epoch: int) -> Iterator[_Showing]:
        """This worker's rows without end: it wraps when it has fewer than its share."""
        common = np.random.default_rng([self.seed, epoch])
        order = common.permutation(len(self.groups))
        mine = [self.groups[i] for i in order[self.share.rank :: self.share.world]]
        # With fewer row groups than workers, workers share groups, each in its own order.
        mine = mine or [self.groups[i] for i in order]
        rng = np.random.default_rng([self.seed, epoch, self.share.rank])
        pool: list[_Showing] = []
        while True:
            for group in mine:
                pool += self._showings(group, epoch)
                if len(pool) >= self.pool_rows:
                    yield from _drain(pool, len(pool) // 2, rng)
            yield from _drain(pool, len(pool), rng)

    def _showings(self, group: RowGroup, epoch: int) -> Iterator[_Showing]:
        for record in group.read():
            yield _Showing(record)
            if self.balance is None:
                continue
            labels = record.truth.labels
            times = self.balance.repeats(labels, record.image_id, self.seed, epoch)
            yield from [_Showing(record, repeated=True)] * (times - 1)

    def _decode(self, showings: Iterator[_Showing], epoch: int) -> Iterator[Sample]:
        numbered = enumerate(showings)
        if self.threads == 0:
            for index, showing in numbered:
                yield self._sample(index, showing, epoch)
            return
        ahead: deque[Future[Sample]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            for index, showing in numbered:
                ahead.append(pool.submit(self._sample, index, showing, epoch))
                if len(ahead) >= 4 * self.threads + self.batch_size:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _sample(self, index: int, showing: _Showing, epoch: int) -> Sample:
        rng = np.random.default_rng([self.seed, epoch, self.share.rank, index])
        record = showing.record
        view = self.augmentation.draw(rng, repeated=showing.repeated)
        pixels = view.pixels(decode(record.image, self.limits))
        return Sample(pixels, view, record, self._saliency(record, view))

    def _saliency(self, record: Record, view: View) -> NDArray[np.float32] | None:
        if "saliency" not in self.needs or self.proposals is None:
            return None
        saliency = self.proposals.saliency(record.image_id)
        return view.map01(saliency, record.width, record.height)


class _Showing(NamedTuple):
    """A record in its turn; `repeated` if the epoch has shown it before, to balance classes."""

    record: Record
    repeated: bool = False


def validation_batches(
    folder: Path,
    split: str,
    num_classes: int,
    view: View,
    limit: int,
    share: Share,
    limits: ImageLimits,
    batch_size: int = 64,
) -> Iterator[Batch]:
    """This worker's part of the first `limit` images of a split, in order."""
    samples: list[Sample] = []
    seen = 0
    for group in row_groups(folder, split):
        if seen >= limit:
            break
        for record in group.read()[: limit - seen]:
            if seen % share.world == share.rank:
                pixels = view.pixels(decode(record.image, limits))
                samples.append(Sample(pixels, view, record))
            seen += 1
            if len(samples) == batch_size:
                yield collate(samples, num_classes)
                samples = []
    if samples:
        yield collate(samples, num_classes)


def _drain(pool: list[_Showing], count: int, rng: np.random.Generator) -> Iterator[_Showing]:
    """Take `count` rows out of the pool at random."""
    for _ in range(count):
        i = int(rng.integers(len(pool)))
        pool[i], pool[-1] = pool[-1], pool[i]
        yield pool.pop()
