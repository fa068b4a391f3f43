"""The order of an epoch: every image of a split once, dealt to any number of workers.

The order is a function of (seed, epoch) alone. Workers take neighbouring stretches of it, so that
each reads its own part of the shards; when their number changes in the middle of an epoch, what is
left is dealt again.

Shapes: N showings of an epoch (an image once, or several times to balance classes).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.training.share import Share

LastBatch = Literal["drop", "short"]


class Stretch(NamedTuple):
    """Steps of an epoch that were done with one number of workers.

    Attributes:
        batch: images in a batch of all workers together.
    """

    steps: int
    workers: int
    batch: int


class Showings(NamedTuple):
    """All that an epoch shows, in its order.

    Attributes:
        rows: (N,) int64, number of the image in the split, in the order of the shards.
        copies: (N,) int64, how often the epoch has shown the image before.
    """

    rows: NDArray[np.int64]
    copies: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Batches of what is left of an epoch.

    Args:
        images: showings that are left.
        batch: images in a batch of all workers together; they share it out as evenly as can be.
        last: what becomes of images that do not fill a batch: "drop" leaves them out of this
            epoch, "short" makes a smaller batch of them.
    """

    images: int
    batch: int
    workers: int
    last: LastBatch = "drop"

    @property
    def full_steps(self) -> int:
        return self.images // self.batch

    @property
    def steps(self) -> int:
        return self.full_steps + (self.rest > 0)

    @property
    def rest(self) -> int:
        """Images of the short batch at the end, 0 without one."""
        return self.images % self.batch if self.last == "short" else 0

    @property
    def shown(self) -> int:
        """Images that are shown: all, or those that fill batches."""
        return self.full_steps * self.batch + self.rest

    def of_worker(self, rank: int) -> int:
        """Images of a worker in a full batch."""
        return _part(self.batch, self.workers, rank)

    def sizes(self, rank: int | None = None) -> list[int]:
        """Images of a worker, or of all, in every batch; a short one may have none for it."""
        if rank is None:
            return [self.batch] * self.full_steps + [self.rest] * (self.rest > 0)
        last = [_part(self.rest, self.workers, rank)] * (self.rest > 0)
        return [self.of_worker(rank)] * self.full_steps + last


def epoch_order(
    groups: Sequence[int], seed: int, epoch: int, pool_rows: int, times: NDArray[np.int64] | None
) -> Showings:
    """The random order of an epoch.

    Row groups come in random order, and each row moves back by a random part of `pool_rows`; so
    whoever reads the order holds about that many rows at a time, and of a split with no more rows
    every order is equally likely.

    Args:
        groups: rows of each row group, in the order of the shards.
        times: (rows,) showings of each row; None for one.
    """
    rng = np.random.default_rng([seed, epoch])
    starts = np.concatenate([[0], np.cumsum(groups)]).astype(np.int64)
    if starts[-1] == 0:
        return Showings(np.zeros(0, np.int64), np.zeros(0, np.int64))
    shuffled = rng.permutation(len(groups))
    rows = np.concatenate([np.arange(starts[g], starts[g + 1]) for g in shuffled])
    if times is not None:
        rows = np.repeat(rows, times[rows])
    order = _shuffled_nearby(len(rows), pool_rows, rng)
    rows = rows[order]
    return Showings(rows, _copies(rows))


def dealt(count: int, past: Iterable[Stretch], plan: BatchPlan, share: Share) -> NDArray[np.int64]:
    """Places in the order that one worker shows next, in its order.

    Args:
        count: showings of the epoch.
        past: what was done of it.
        plan: batches of what is left, of `plan.images` images.
    """
    left = np.arange(count)
    for stretch in past:
        before = BatchPlan(len(left), stretch.batch, stretch.workers, "short")
        parts = _shares(left, before)
        done = [stretch.steps * before.of_worker(rank) for rank in range(stretch.workers)]
        left = np.concatenate([part[n:] for part, n in zip(parts, done, strict=True)])
    return _shares(left, plan)[share.rank]


def dealt_in_turn(past: Iterable[Stretch], plan: BatchPlan, share: Share) -> NDArray[np.int64]:
    """Places that a worker shows next where each batch is a stretch of the order.

    Whoever reads the order once for all workers deals so; for its arguments see `dealt`.
    """
    done = sum(stretch.steps * stretch.batch for stretch in past)
    begins = accumulate(plan.sizes(), initial=done)
    places = [
        np.arange(size) + begin + _before(of_all, plan.workers, share.rank)
        for begin, of_all, size in zip(begins, plan.sizes(), plan.sizes(share.rank), strict=False)
    ]
    return np.concatenate([np.zeros(0, np.int64), *places])


def _shares(left: NDArray[np.int64], plan: BatchPlan) -> list[NDArray[np.int64]]:
    """Each worker's part of what is left: the neighbours that fill its batches, then the rest."""
    rest = len(left) - plan.full_steps * plan.batch
    sizes = [
        plan.full_steps * plan.of_worker(rank) + _part(rest, plan.workers, rank)
        for rank in range(plan.workers)
    ]
    ends = list(accumulate(sizes))
    return [left[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _part(whole: int, workers: int, rank: int) -> int:
    """Each gets as many; what is over goes to the first ones."""
    return whole // workers + (rank < whole % workers)


def _before(whole: int, workers: int, rank: int) -> int:
    """Parts of all workers before one."""
    return whole // workers * rank + min(rank, whole % workers)


def _shuffled_nearby(count: int, pool: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if count <= pool:
        return rng.permutation(count)
    return np.argsort(np.arange(count) + rng.uniform(0, pool, count), kind="stable")


def _copies(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of times that each value came before."""
    by_row = np.argsort(rows, kind="stable")
    ordered = rows[by_row]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    runs = np.diff(np.r_[first, len(rows)])
    copies = np.empty(len(rows), dtype=np.int64)
    copies[by_row] = np.arange(len(rows)) - np.repeat(first, runs)
    return copies
