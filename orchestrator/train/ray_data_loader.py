"""A loader whose images are read and decoded by Ray Data on any CPUs of the cluster.

One stream for all workers: each batch is a stretch of the epoch's order, so shards are read once,
whatever the number of workers. The stream has one row for each worker's part of each batch, in
the order of steps and ranks, and Ray Data hands them out in turn (`streaming_split`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from workloads.errors import WsolError
from workloads.training.batch import Batch
from workloads.training.order import BatchPlan, Showings, Stretch, dealt_in_turn
from workloads.training.shard_source import Pace, ShardSource, Turn, check_images
from workloads.training.share import Share
from workloads.training.team import Team

IMAGES_PER_READ = 8192  # a reader begins with the rows of a pool, which another one has read, too
Row = dict[str, Any]


class RayDataLoader:
    """A `Loader` of one split of shards, for workers that Ray can reach.

    Raises:
        ConfigError: the split has fewer images than one batch.
    """

    def __init__(self, source: ShardSource, pace: Pace, team: Team, epochs: int) -> None:
        self.source, self.pace, self.team, self.epochs = source, pace, team, epochs
        check_images(source.folder, source.split, source.images, team.share.world, pace)
        self._rows: Iterator[Row] | None = None
        self._next: tuple[int, int] | None = None

    def plan(self, past: Sequence[Stretch] = ()) -> BatchPlan:
        """Batches that are left of an epoch."""
        return self.source.plan(self.pace, self.team.share, past)

    def batches(self, epoch: int, past: Sequence[Stretch] = ()) -> Iterator[Batch]:
        """The batches of an epoch that come after what was done.

        The stream goes on into the next epochs while this one is trained.
        """
        first = sum(stretch.steps for stretch in past)
        if self._rows is None or self._next != (epoch, first):
            self._rows = self._stream(epoch, past)
        for step in range(first, first + self.plan(past).steps):
            row = next(self._rows)
            found, expected = tuple(row["place"]), (epoch, step, self.team.share.rank)
            if found != expected:
                raise WsolError(f"Ray Data gave batch {found} instead of {expected}; report this")
            self._next = epoch, step + 1
            yield row["batch"]
        self._next = epoch + 1, 0

    def _stream(self, epoch: int, past: Sequence[Stretch]) -> Iterator[Row]:
        """This worker's rows from a place of the training to its end."""
        share = self.team.share
        splits = self._splits(epoch, past) if share.rank == 0 else None
        split = self.team.first(splits)[share.rank]
        return iter(split.iter_rows())

    def _splits(self, epoch: int, past: Sequence[Stretch]) -> list[Any]:
        import ray.data

        world = self.team.share.world
        reads = list(self._reads(epoch, past))
        reader = _Reader(self.source, self.pace, world)
        context = ray.data.DataContext.get_current().copy()
        context.execution_options.preserve_order = True
        context.target_max_block_size = 1  # a row for each block, for each to go where it belongs
        context.enable_progress_bars = False
        with ray.data.DataContext.current(context):
            rows = (
                ray.data.from_items(reads, override_num_blocks=len(reads))
                .flat_map(reader.read, num_cpus=0.25)
                .map(reader.decode, num_cpus=1)
            )
            splits: list[Any] = rows.streaming_split(world, equal=False)
            return splits

    def _reads(self, epoch: int, past: Sequence[Stretch]) -> Iterator[Row]:
        """Stretches of steps from a place of the training to its end, each read by one task."""
        for number in range(epoch, self.epochs):
            before = list(past) if number == epoch else []
            plan = self.plan(before)
            size = max(1, IMAGES_PER_READ // plan.batch)
            for first in range(0, plan.steps, size):
                steps = [first, min(first + size, plan.steps)]
                yield {"epoch": number, "past": [list(one) for one in before], "steps": steps}


class _Part(NamedTuple):
    """A worker's part of a batch, not yet decoded."""

    turns: list[Turn]
    weight: float


class _Reader:
    """Both stages of the stream; tasks get a copy of it."""

    def __init__(self, source: ShardSource, pace: Pace, world: int) -> None:
        self.source, self.pace, self.world = source, pace, world

    def read(self, row: Row) -> Iterator[Row]:
        """Records of some steps, a row for each step and worker."""
        past = [Stretch(*one) for one in row["past"]]
        plan = self.source.plan(self.pace, Share(0, self.world), past)
        before = sum(stretch.steps for stretch in past)
        order = self.source.showings(row["epoch"])
        first, end = row["steps"]
        sizes = plan.sizes()
        begin = sum(stretch.steps * stretch.batch for stretch in past) + sum(sizes[:first])
        places = slice(begin, begin + sum(sizes[first:end]))
        turns = self.source.turns(Showings(order.rows[places], order.copies[places]))
        for step in range(first, end):
            several = [next(turns) for _ in range(sizes[step])]
            for rank in range(self.world):
                part = self._part(several, plan, step, rank)
                yield {"place": [row["epoch"], before + step, rank], "part": part}

    def _part(self, several: list[Turn], plan: BatchPlan, step: int, rank: int) -> _Part:
        size, of_all = plan.sizes(rank)[step], len(several)
        places = dealt_in_turn((), BatchPlan(of_all, of_all, self.world), Share(rank, self.world))
        mine = [several[place] for place in places] or several[:1]
        return _Part(mine, size * self.world / of_all)

    def decode(self, row: Row) -> Row:
        """The batch of a row."""
        epoch, _, _ = row["place"]
        turns, weight = row["part"]
        samples = [self.source.sample(turn, int(epoch)) for turn in turns]
        return {"place": row["place"], "batch": self.source.batch(samples, weight)}
