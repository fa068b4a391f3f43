"""One training on one worker: epochs with learning curves, stopped anywhere and continued exactly.

What differs between a laptop and a cluster comes in as arguments: the team of workers, and the
folder of checkpoints.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from workloads.errors import WsolError, first_of
from workloads.methods.base import Method
from workloads.metrics.average_precision import mean_average_precision
from workloads.storage.addresses import shown
from workloads.training.activity import Activity
from workloads.training.ahead import ahead_of
from workloads.training.batch import Batch
from workloads.training.checkpoint_folder import CheckpointFolder, Mark
from workloads.training.checkpoints import State, load_checkpoint
from workloads.training.loader import Loader
from workloads.training.meter import Meter, of_all
from workloads.training.node_metrics import node_reading, of_nodes
from workloads.training.optimizer import learning_rate_at
from workloads.training.options import TrainOptions
from workloads.training.order import BatchPlan, Stretch
from workloads.training.step import Stepper
from workloads.training.sums import Sums, means
from workloads.training.team import Team, Wish
from workloads.training.validation import class_scores

SCORE = "val_classification_map"
_LOOK_S = 5.0  # between two looks for a machine that is about to be taken away


@dataclass(frozen=True, slots=True)
class Position:
    """Progress of a training over all workers.

    Attributes:
        step, steps: of the epoch.
        images, total: shown so far, and in all epochs.
        metrics: of the last step, None where they were not asked for.
    """

    epoch: int
    step: int
    steps: int
    images: int
    total: int
    metrics: dict[str, float] | None = None


def silent(_: Position) -> None:
    """The listener of a training that nobody watches."""


@dataclass
class TrainingRun:
    """A training that can be stopped after any step and continued bit for bit.

    Order of images, augmentation and dropout are functions of (seed, epoch, step, rank), so a
    position and the state of network and optimizer are all that there is to keep. With another
    number of workers than before, what is left of an epoch is dealt to them.

    Attributes:
        validation: gives this worker's part of the images of the validation curve.
        checkpoints: where the first worker keeps them; None for none.
        activity: what this worker does at the moment.
        steps_per_report: steps between two positions with metrics; 0 for none.
        node_metrics: whether epochs have the load of all machines among their metrics.
    """

    method: Method
    options: TrainOptions
    loader: Loader
    validation: Callable[[], Iterable[Batch]]
    device: torch.device
    team: Team = field(default_factory=Team)
    checkpoints: CheckpointFolder | None = None
    steps_per_report: int = 0
    node_metrics: bool = False

    def __post_init__(self) -> None:
        torch.manual_seed(self.options.seed)
        self.stepper = Stepper(self.method, self.options, self.device, self.team)
        self.activity = Activity("the start")
        self.epoch = 0
        self.past: tuple[Stretch, ...] = ()
        self.sums = Sums()
        self._looked_at = time.monotonic()
        self._image_ids: tuple[str, ...] = ()
        self._unchecked: deque[tuple[int, tuple[str, ...], Tensor]] = deque()

    @property
    def result(self) -> Method:
        """The network that the training is for."""
        return self.stepper.result

    @property
    def steps_done(self) -> int:
        """Steps of the epoch that is being trained."""
        return sum(stretch.steps for stretch in self.past)

    def summary(self) -> str:
        """One line about a step: its batch, its parts, learning rate, precision."""
        share, options, plan = self.team.share, self.options, self.loader.plan(self.past)
        each = plan.of_worker(0)
        parts = -(-each // (options.micro_batch or each))
        rate = options.learning_rate * options.rate_factor(share)
        return (
            f"batches of {plan.batch} images: {share.world} workers x {each}, in {parts} parts; "
            f"learning rate {rate:g}; {str(self.stepper.precision).removeprefix('torch.')}, losses "
            "and weights float32"
        )

    def resume(self) -> bool:
        """Continue after the last checkpoint of the folder; whether there was one.

        Raises:
            ConfigError: it is of another network or optimizer.
        """
        folder = self.checkpoints
        found = folder.latest() if folder and self.team.share.rank == 0 else None
        place = self.team.first(found)
        if place is not None:
            self.restore(load_checkpoint(place))
        return place is not None

    def restore(self, state: State) -> None:
        """Continue after a state."""
        state.restore(self.stepper.method, self.stepper.optimizer, self.stepper.average)
        meta: dict[str, Any] = dict(state.meta)
        share = self.team.share
        self.epoch = int(meta["epochs"])
        self.past = tuple(Stretch(*stretch) for stretch in meta["past"])
        self.sums = Sums.shared_out(meta["sums"], share.rank, share.world)

    def state(self) -> State:
        """The state that `restore` takes; all workers ask for it together."""
        stepper, average = self.stepper, self.stepper.average
        return State(
            stepper.method.state_dict(),
            stepper.optimizer.state_dict(),
            None if average is None else average.state_dict(),
            {
                "epochs": self.epoch,
                "past": [list(stretch) for stretch in self.past],
                "sums": self.team.gather(self.sums.state()),
            },
        )

    def epochs(self, listener: Callable[[Position], None] = silent) -> Iterator[dict[str, float]]:
        """Metrics of each epoch that is left, as it ends.

        The checkpoint after an epoch is made when the next value is asked for, so whoever notes
        the metrics first has them before the checkpoint says that the epoch is done.

        Raises:
            WsolError: a loss is not finite.
        """
        while self.epoch < self.options.epochs:
            metrics = self._train(listener)
            self.epoch, self.past, self.sums = self.epoch + 1, (), Sums()
            metrics = {"epoch": self.epoch, **metrics, **self._validate()}
            yield metrics
            self._save(metrics.get(SCORE))
        if self.checkpoints:
            self.checkpoints.flush()

    def _train(self, listener: Callable[[Position], None]) -> dict[str, float]:
        """The rest of an epoch; means over all of it."""
        meter = Meter()
        walk = _Walk(self.past, self.loader.plan(self.past), self.options.epochs)
        last: dict[str, float] = {}
        self.activity.begin("images")
        for batch in meter.waiting(self._batches()):
            self.activity.begin("the gradients of all workers")
            last = self._step(walk, batch, listener)
            meter.images += batch.counted
            if self.steps_done < walk.steps:
                self._save_if_due()
            self.activity.begin("images")
        self._check_weights()
        return {
            **means(self.team.gather(self.sums.state())),
            **{name: last[name] for name in ("learning_rate", "gradient_norm") if name in last},
            **of_all(self.team.gather(meter.readings())),
            **(of_nodes(self.team.gather(node_reading())) if self.node_metrics else {}),
        }

    def _batches(self) -> Iterator[Batch]:
        """The rest of the epoch, in pinned memory for a GPU."""
        batches = self.loader.batches(self.epoch, self.past)
        if self.device.type != "cuda":
            return batches
        return ahead_of(map(Batch.pinned, batches), 1)

    def _step(
        self, walk: _Walk, batch: Batch, listener: Callable[[Position], None]
    ) -> dict[str, float]:
        """Learn from a batch; what there is to report of it, nothing for most."""
        step = self.steps_done
        self._seed_step(step)
        share, every = self.team.share, self.steps_per_report
        progress = self.epoch + walk.images(step) / walk.total
        rate = learning_rate_at(progress, self.options) * self.options.rate_factor(share)
        reported = every > 0 and (step + 1) % every == 0
        wanted = reported or step + 1 == walk.steps
        terms, norm = self.stepper.step(batch, rate, wants_norm=wanted)
        self._unchecked.append((step, batch.image_ids, terms["loss"]))
        self._check_finite(late=0 if self.device.type == "cpu" else 1)
        self.sums.add(terms, batch.counted)
        self.past = _grown(self.past, walk.plan)
        values = {name: float(value) for name, value in terms.items()} if wanted else {}
        if wanted:
            values["learning_rate"] = rate
        if wanted and norm is not None:
            values["gradient_norm"] = float(norm)
        listener(walk.position(self.epoch, step + 1, values if reported else None))
        return values

    def _seed_step(self, step: int) -> None:
        seed = _seed(self.options.seed, self.epoch, step, self.team.share.rank)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":  # `torch.manual_seed` asks for it even where there is none
            torch.cuda.manual_seed(seed)

    def _save_if_due(self) -> None:
        """A checkpoint in the middle of an epoch, where all workers agree that it is time."""
        folder = self.checkpoints
        if folder is None:
            return
        every = folder.cadence.steps
        agreed = self.team.agree(self._wish(folder))
        leaves = Wish.LOOK_FOR_PREEMPTION in agreed and self.team.is_preempted()
        if leaves or Wish.CHECKPOINT in agreed or (every and self.steps_done % every == 0):
            self._check_weights()
            self._save()
        if leaves:
            folder.flush()  # there may be no other moment

    def _wish(self, folder: CheckpointFolder) -> Wish:
        wish = Wish.NOTHING
        if self.team.share.rank > 0:
            return wish
        if folder.is_time():
            wish |= Wish.CHECKPOINT
        if time.monotonic() - self._looked_at >= _LOOK_S:
            self._looked_at = time.monotonic()
            wish |= Wish.LOOK_FOR_PREEMPTION
        return wish

    def _save(self, score: float | None = None) -> None:
        if self.checkpoints is None:
            return
        self.activity.begin("a checkpoint")
        state = self.state()
        if self.team.share.rank == 0:
            self.checkpoints.save(Mark(self.epoch, self.steps_done), state, score)

    def _check_finite(self, late: int) -> None:
        """Stop at a loss that is not finite.

        Args:
            late: steps whose losses may stay unread, so that a GPU is not waited for.
        """
        while len(self._unchecked) > late:
            step, self._image_ids, loss = self._unchecked.popleft()
            if not math.isfinite(float(loss)):
                raise WsolError(self._diverged(step, f"the loss is {float(loss)}"))

    def _check_weights(self) -> None:
        """Stop before a checkpoint of weights that are not finite; all workers look together."""
        self._check_finite(late=0)
        if not all(bool(p.isfinite().all()) for p in self.stepper.method.parameters()):
            raise WsolError(self._diverged(self.steps_done - 1, "a weight is not finite"))

    def _diverged(self, step: int, problem: str) -> str:
        last = self._last_written()
        return (
            f"training diverged in epoch {self.epoch + 1}, step {step + 1}: {problem}; "
            f"images {first_of(self._image_ids)}; "
            f"last good checkpoint {shown(last) if last else 'none'}; "
            "lower train.learning_rate, set train.clip_norm or add train.warmup_epochs"
        )

    def _last_written(self) -> Path | None:
        """The checkpoint to go back to, finished if it was being written."""
        if self.checkpoints is None:
            return None
        with suppress(OSError):  # then the one before is the last
            self.checkpoints.flush()
        return self.checkpoints.last

    def _validate(self) -> dict[str, float]:
        """Classification mAP on the first images of the validation split."""
        if self.options.validation_images == 0:
            return {}
        self.activity.begin("validation")
        self.team.share_buffers(self.stepper.method)
        answers = class_scores(self.result, self.validation())
        parts = self.team.gather([t.numpy() for t in answers])
        scores, labels, difficult = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return {SCORE: mean_average_precision(scores, labels > 0, difficult)}


class _Walk(NamedTuple):
    """The rest of an epoch, beside what was done of it.

    Attributes:
        plan: batches of the rest.
    """

    past: tuple[Stretch, ...]
    plan: BatchPlan
    epochs: int

    @property
    def steps(self) -> int:
        """Steps of the whole epoch."""
        return sum(stretch.steps for stretch in self.past) + self.plan.steps

    @property
    def total(self) -> int:
        """Images that the whole epoch shows."""
        return self._before + self.plan.shown

    @property
    def _before(self) -> int:
        return sum(stretch.steps * stretch.batch for stretch in self.past)

    def images(self, step: int) -> int:
        """Images shown before a step."""
        steps_before = sum(stretch.steps for stretch in self.past)
        return min(self._before + (step - steps_before) * self.plan.batch, self.total)

    def position(self, epoch: int, step: int, metrics: dict[str, float] | None) -> Position:
        images = epoch * self.total + self.images(step)
        return Position(epoch, step, self.steps, images, self.epochs * self.total, metrics)


def _grown(past: tuple[Stretch, ...], plan: BatchPlan) -> tuple[Stretch, ...]:
    """The past with one step more."""
    if past and past[-1][1:] == (plan.workers, plan.batch):
        return (*past[:-1], past[-1]._replace(steps=past[-1].steps + 1))
    return (*past, Stretch(1, plan.workers, plan.batch))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
