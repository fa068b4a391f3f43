"""Batches of training images straight from shards.

Each worker reads the row groups that its part of the epoch's order lies in, and decodes their
images. What a batch holds depends on (seed, epoch) and on what was done of the epoch before, so a
resumed run sees what it would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from workloads.training.ahead import ahead_of
from workloads.training.batch import Batch, Sample
from workloads.training.order import BatchPlan, Showings, Stretch, dealt
from workloads.training.shard_source import Pace, ShardSource, Turn, check_images
from workloads.training.share import Share

_IMAGES_PER_TASK = 4  # threads wait for each other less often than with one


class ShardLoader:
    """A `Loader` of one split of shards.

    Raises:
        ConfigError: the split has fewer images than one batch.
    """

    def __init__(self, source: ShardSource, pace: Pace, share: Share | None = None) -> None:
        self.source = source
        self.pace = pace
        self.share = share or Share()
        check_images(source.folder, source.split, source.images, self.share.world, pace)

    def plan(self, past: Sequence[Stretch] = ()) -> BatchPlan:
        """Batches that are left of an epoch."""
        return self.source.plan(self.pace, self.share, past)

    def batches(self, epoch: int, past: Sequence[Stretch] = ()) -> Iterator[Batch]:
        """The batches of an epoch that come after what was done; that is not read again."""
        plan, source = self.plan(past), self.source
        places = dealt(source.images, past, plan, self.share)
        mine = places[: sum(plan.sizes(self.share.rank))]
        order = source.showings(epoch)
        samples = self._samples(Showings(order.rows[mine], order.copies[mine]), epoch)
        return ahead_of(self._collated(samples, plan), self.pace.batches_ahead)

    def _collated(self, samples: Iterator[Sample], plan: BatchPlan) -> Iterator[Batch]:
        batch = None
        for of_all, size in zip(plan.sizes(), plan.sizes(self.share.rank), strict=True):
            weight = size * self.share.world / of_all
            if several := list(islice(samples, size)):
                batch = self.source.batch(several, weight)
            elif batch is not None:
                batch = batch.part(0, 1)._replace(weight=weight)
            if batch is not None:
                yield batch

    def _samples(self, mine: Showings, epoch: int) -> Iterator[Sample]:
        """Samples in order, decoded by threads."""
        turns, threads = self.source.turns(mine), self.pace.threads
        if threads == 0:
            yield from (self.source.sample(turn, epoch) for turn in turns)
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

    def _several(self, turns: list[Turn], epoch: int) -> list[Sample]:
        return [self.source.sample(turn, epoch) for turn in turns]
