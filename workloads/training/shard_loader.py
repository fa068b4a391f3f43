"""Batches of training images straight from shards.

Each worker reads the row groups that its part of the epoch's order lies in, and decodes their
images. What a batch holds depends on (seed, epoch) and on what was done of the epoch before, so a
resumed run sees what it would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.errors import ConfigError, InputRejected, IntegrityError
from workloads.images.decode import ImageLimits, decode
from workloads.images.view import View
from workloads.methods.base import Need
from workloads.proposals.store import ProposalStore
from workloads.records import Record
from workloads.shards.read import row_groups
from workloads.training.ahead import ahead_of
from workloads.training.augmentation import Augmentation
from workloads.training.balance import Balance
from workloads.training.batch import Batch, Sample, collate
from workloads.training.order import BatchPlan, LastBatch, Showings, Stretch, dealt, epoch_order
from workloads.training.row_reader import RowReader
from workloads.training.share import Share


_IMAGES_PER_TASK = 4  # threads wait for each other less often than with one


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

    def sample(self, record: Record, rng: np.random.Generator, *, repeated: bool) -> Sample:
        """Decode a record and show it in a view that is drawn at random.

        Args:
            repeated: the epoch has shown it before, to balance classes.

        Raises:
            IntegrityError: its bytes are no longer an image.
        """
        view = self.augmentation.draw(rng, record.width, record.height, repeated=repeated)
        try:
            image = decode(record.image, self.limits)
        except InputRejected as error:
            raise IntegrityError(f"image '{record.image_id}' of the shards: {error}") from error
        return Sample(view.pixels(image), view, record, self._saliency(record, view))

    def _saliency(self, record: Record, view: View) -> NDArray[np.float32] | None:
        if "saliency" not in self.needs or self.proposals is None:
            return None
        saliency = self.proposals.saliency(record.image_id)
        return view.map01(saliency, record.width, record.height)


@dataclass(frozen=True, slots=True)
class Pace:
    """Numbers of images that are taken at once, and how far ahead of their use.

    Attributes:
        batch_size: images in a batch of all workers together.
        last_batch: what becomes of images that do not fill one, see `BatchPlan`.
        pool_rows: images among which the next one is drawn.
        threads: that decode beside the training step; 0 decodes in its own thread.
    """

    batch_size: int
    last_batch: LastBatch = "drop"
    pool_rows: int = 2048
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


class ShardLoader:
    """A `Loader` of one split of shards.

    Args:
        balance: how often images are repeated in an epoch; None for once each.

    Raises:
        ConfigError: the split has fewer images than one batch, or there are no proposals and some
            are needed.
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
        rows = sum(group.rows for group in self.groups)
        self.images = rows if balance is None else balance.images
        check_images(folder, split, self.images, self.share.world, pace)

    def plan(self, past: Sequence[Stretch] = ()) -> BatchPlan:
        """Batches that are left of an epoch."""
        done = sum(stretch.steps * stretch.batch for stretch in past)
        left = max(self.images - done, 0)
        return BatchPlan(left, self.pace.batch_size, self.share.world, self.pace.last_batch)

    def batches(self, epoch: int, past: Sequence[Stretch] = ()) -> Iterator[Batch]:
        """The batches of an epoch that come after what was done; that is not read again."""
        plan = self.plan(past)
        places = dealt(self.images, past, plan, self.share)[: sum(plan.sizes(self.share.rank))]
        order = self.showings(epoch)
        mine = Showings(order.rows[places], order.copies[places])
        return ahead_of(self._collated(self._samples(mine, epoch), plan), self.pace.batches_ahead)

    def showings(self, epoch: int) -> Showings:
        """All showings of an epoch in their order, whoever shows them."""
        times = None if self.balance is None else self.balance.times(self.seed, epoch)
        rows = [group.rows for group in self.groups]
        order = epoch_order(rows, self.seed, epoch, self.pace.pool_rows, times)
        return Showings(order.rows[: self.images], order.copies[: self.images])

    def _collated(self, samples: Iterator[Sample], plan: BatchPlan) -> Iterator[Batch]:
        batch = None
        for of_all, size in zip(plan.sizes(), plan.sizes(self.share.rank), strict=True):
            weight = size * self.share.world / of_all
            if several := list(islice(samples, size)):
                batch = collate(several, self.num_classes, self.showing.needs)
            elif batch is not None:
                batch = batch.part(0, 1)
            if batch is not None:
                yield batch._replace(weight=weight)

    def _samples(self, mine: Showings, epoch: int) -> Iterator[Sample]:
        """Samples in order; row and epoch decide how each is shown."""
        records = RowReader(self.groups).records(mine.rows)
        turns = zip(records, mine.rows.tolist(), mine.copies.tolist(), strict=True)
        threads = self.pace.threads
        if threads == 0:
            yield from (self._sample(*turn, epoch) for turn in turns)
            return
        started: deque[Future[list[Sample]]] = deque()
        pool = ThreadPoolExecutor(threads, "decode")
        try:
            while several := list(islice(turns, _IMAGES_PER_TASK)):
                started.append(pool.submit(self._several, several, epoch))
                if len(started) > 2 * threads:
                    yield from started.popleft().result()
            while started:
                yield from started.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _several(self, turns: list[tuple[Record, int, int]], epoch: int) -> list[Sample]:
        return [self._sample(*turn, epoch) for turn in turns]

    def _sample(self, record: Record, row: int, copy: int, epoch: int) -> Sample:
        rng = np.random.default_rng([self.seed, epoch, row, copy])
        return self.showing.sample(record, rng, repeated=copy > 0)
