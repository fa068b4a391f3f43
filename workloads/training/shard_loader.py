"""Batches of training images straight from shards.

Each worker gets whole row groups, shuffles their rows in a bounded pool, and decodes them. The
order depends only on (seed, epoch, rank, world), so a resumed run sees what it would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
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
from workloads.training.share import Share


@dataclass(frozen=True)
class Showing:
    """The making of samples: records in random views.

    Attributes:
        needs: what batches must hold beside labels.
        proposals: those of the split, for "saliency"; nothing else is read from them.

    Raises:
        ConfigError: images are turned and boxes are needed.
    """

    augmentation: Augmentation
    limits: ImageLimits = field(default_factory=ImageLimits)
    needs: frozenset[Need] = frozenset()
    proposals: ProposalStore | None = None

    def __post_init__(self) -> None:
        if "boxes" in self.needs and self.augmentation.rotation_deg:
            raise ConfigError(
                "the method learns from boxes, which cannot be turned: set train.rotation_deg to 0"
            )

    def sample(self, turn: _Turn, rng: np.random.Generator) -> Sample:
        """Decode a record and show it in a view that is drawn at random."""
        record = turn.record
        view = self.augmentation.draw(rng, record.width, record.height, repeated=turn.repeated)
        pixels = view.pixels(decode(record.image, self.limits))
        return Sample(pixels, view, record, self._saliency(record, view))

    def _saliency(self, record: Record, view: View) -> NDArray[np.float32] | None:
        if "saliency" not in self.needs or self.proposals is None:
            return None
        saliency = self.proposals.saliency(record.image_id)
        return view.map01(saliency, record.width, record.height)


@dataclass(frozen=True, slots=True)
class Pace:
    """Numbers of images that a loader takes at once.

    Attributes:
        batch_size: images in a batch of one worker.
        threads: that decode beside the training step; 0 decodes in its own thread.
        pool_rows: records among which the next one is drawn.
    """

    batch_size: int
    threads: int = 0
    pool_rows: int = 2048


def check_images(folder: Path, split: str, images: int, workers: int, batch_size: int) -> None:
    """Refuse a split that does not fill one batch.

    Args:
        batch_size: images in a batch of one worker.

    Raises:
        ConfigError: it does not.
    """
    if images < workers * batch_size:
        raise ConfigError(
            f"{folder}: split '{split}' has {images} images, fewer than one batch of {workers} "
            f"workers x {batch_size}; add images to it, or take a recipe whose train.batch_size "
            "is lower"
        )


class ShardLoader:
    """A `Loader` of one split of shards.

    Args:
        balance: how often images are repeated in an epoch; None for once each. An epoch has
            as many steps as fit into the images that it shows on average.

    Raises:
        ConfigError: the split has fewer images than one batch over all workers needs, or there
            are no proposals and some are needed.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        num_classes: int,
        showing: Showing,
        pace: Pace,
        seed: int = 0,
        share: Share | None = None,
        balance: Balance | None = None,
    ) -> None:
        self.groups = row_groups(folder, split)
        self.num_classes = num_classes
        self.showing = showing
        self.pace = pace
        self.seed = seed
        self.share = share or Share()
        self.balance = balance
        if "saliency" in showing.needs and showing.proposals is None:
            raise ConfigError(
                f"the method learns from object proposals: run 'wsol proposals {folder} --split "
                f"{split}' and give its folder with --proposals"
            )
        total = sum(group.rows for group in self.groups) if balance is None else int(balance.images)
        self.steps = total // (self.share.world * self.batch_size)
        check_images(folder, split, total, self.share.world, self.batch_size)

    @property
    def batch_size(self) -> int:
        """Images in a batch of this worker."""
        return self.pace.batch_size

    def batches(self, epoch: int, from_step: int = 0) -> Iterator[Batch]:
        """The batches from a step of an epoch on; what comes before it is not decoded.

        Raises:
            ValueError: `from_step` is not in [0, steps].
        """
        if not 0 <= from_step <= self.steps:
            raise ValueError(f"from_step is {from_step}; give one of 0 .. {self.steps}")
        first, end = (step * self.batch_size for step in (from_step, self.steps))
        turns = islice(enumerate(self._shuffled(epoch)), first, end)
        return self._collated(self._decode(turns, epoch))

    def _collated(self, samples: Iterator[Sample]) -> Iterator[Batch]:
        while several := list(islice(samples, self.batch_size)):
            yield collate(several, self.num_classes, self.showing.needs)

    def _shuffled(self, epoch: int) -> Iterator[_Turn]:
        """This worker's rows without end: it wraps when it has fewer than its share."""
        common = np.random.default_rng([self.seed, epoch])
        order = common.permutation(len(self.groups))
        mine = [self.groups[i] for i in order[self.share.rank :: self.share.world]]
        # With fewer row groups than workers, workers share groups, each in its own order.
        mine = mine or [self.groups[i] for i in order]
        rng = np.random.default_rng([self.seed, epoch, self.share.rank])
        pool: list[_Turn] = []
        while True:
            for group in mine:
                pool += self._turns(group, epoch)
                if len(pool) >= self.pace.pool_rows:
                    yield from _drain(pool, len(pool) // 2, rng)
            yield from _drain(pool, len(pool), rng)

    def _turns(self, group: RowGroup, epoch: int) -> Iterator[_Turn]:
        for record in group.read():
            yield _Turn(record)
            if self.balance is None:
                continue
            labels = record.truth.labels
            times = self.balance.repeats(labels, record.image_id, self.seed, epoch)
            yield from [_Turn(record, repeated=True)] * (times - 1)

    def _decode(self, turns: Iterator[tuple[int, _Turn]], epoch: int) -> Iterator[Sample]:
        """Samples of numbered turns; the number in the epoch decides how each is shown."""
        if self.pace.threads == 0:
            for index, turn in turns:
                yield self._sample(index, turn, epoch)
            return
        ahead: deque[Future[Sample]] = deque()
        with ThreadPoolExecutor(self.pace.threads) as pool:
            for index, turn in turns:
                ahead.append(pool.submit(self._sample, index, turn, epoch))
                if len(ahead) >= 4 * self.pace.threads + self.batch_size:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _sample(self, index: int, turn: _Turn, epoch: int) -> Sample:
        rng = np.random.default_rng([self.seed, epoch, self.share.rank, index])
        return self.showing.sample(turn, rng)


class _Turn(NamedTuple):
    """A record in its turn; `repeated` if the epoch has shown it before, to balance classes."""

    record: Record
    repeated: bool = False


def _drain(pool: list[_Turn], count: int, rng: np.random.Generator) -> Iterator[_Turn]:
    """Take `count` rows out of the pool at random."""
    for _ in range(count):
        i = int(rng.integers(len(pool)))
        pool[i], pool[-1] = pool[-1], pool[i]
        yield pool.pop()
