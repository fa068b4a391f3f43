"""One training on one worker: epochs with learning curves, and exact save and restore.

What differs between a laptop and a cluster comes in as arguments: this worker's share, the
wrapper for data parallelism, and a function that gathers a value from all workers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from workloads.artifacts import write_text
from workloads.methods.base import Method
from workloads.metrics.average_precision import mean_average_precision
from workloads.training.batch import Batch
from workloads.training.checkpoints import load_checkpoint, save_checkpoint
from workloads.training.epoch import Position, class_scores, make_optimizer, train_epoch
from workloads.training.loader import Loader
from workloads.training.options import TrainOptions
from workloads.training.share import Share


def gather_single(value: Any) -> list[Any]:
    """The gather of a worker without others."""
    return [value]


@dataclass
class TrainingRun:
    """A training that can be stopped after any epoch and continued bit for bit.

    The order of images, augmentation and dropout are functions of (seed, epoch, rank, world).

    Attributes:
        validation: gives this worker's part of the images of the validation curve.
        wrap: makes the network one of several workers with one gradient.
        gather: the values of all workers, in the order of ranks.
        done: whole epochs.
    """

    method: Method
    options: TrainOptions
    loader: Loader
    validation: Callable[[], Iterable[Batch]]
    device: torch.device
    share: Share = field(default_factory=Share)
    wrap: Callable[[nn.Module], nn.Module] | None = None
    gather: Callable[[Any], list[Any]] = gather_single
    done: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(self.options.seed)
        self.method.to(self.device)
        self.method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.method, self.options)

    def save(self, folder: Path) -> None:
        """Write weights, optimizer state and position."""
        save_checkpoint(
            folder, self.method.state_dict(), self.optimizer.state_dict(), {"epochs": self.done}
        )

    def restore(self, folder: Path) -> None:
        """Continue after the epochs that a checkpoint holds."""
        saved = load_checkpoint(folder)
        saved.restore(self.method, self.optimizer)
        self.done = int(saved.meta["epochs"])

    def epochs(self, progress: Path | None = None) -> Iterator[dict[str, float]]:
        """Metrics of each epoch that is left, as it ends."""
        network = self.wrap(self.method) if self.wrap else self.method
        for epoch in range(self.done, self.options.epochs):
            torch.manual_seed(_seed(self.options.seed, epoch, self.share.rank))
            metrics = train_epoch(
                network,
                self.method,
                self.loader.batches(epoch),
                self.loader.steps,
                epoch,
                self.optimizer,
                self.options,
                _Reporter(progress, epoch, self),
            )
            self.done = epoch + 1
            yield {"epoch": epoch + 1, **self._over_workers(metrics), **self._validate()}

    def _over_workers(self, metrics: dict[str, float]) -> dict[str, float]:
        """Means over workers; throughput is the sum."""
        everyone = self.gather(metrics)
        merged = {k: float(np.mean([m[k] for m in everyone])) for k in metrics}
        merged["images_per_s"] = float(sum(m["images_per_s"] for m in everyone))
        return merged

    def _validate(self) -> dict[str, float]:
        """Classification mAP on the first images of the validation split."""
        if self.options.validation_images == 0:
            return {}
        parts = self.gather([t.numpy() for t in class_scores(self.method, self.validation())])
        scores, labels, difficult = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return {"val_classification_map": mean_average_precision(scores, labels > 0, difficult)}


class _Reporter:
    """Writes this worker's position, scaled to all workers, at most once a second."""

    def __init__(self, path: Path | None, epoch: int, run: TrainingRun) -> None:
        self.path = path
        self.world = run.share.world
        per_epoch = run.loader.steps * run.loader.batch_size * self.world
        self.before = epoch * per_epoch
        self.total = run.options.epochs * per_epoch
        self.written = 0.0

    def __call__(self, position: Position) -> None:
        now = time.monotonic()
        last = position.step == position.steps
        if self.path is None or (now - self.written < 1.0 and not last):
            return
        self.written = now
        done = self.before + position.images * self.world
        with suppress(OSError):  # it is only shown; training does not depend on it
            write_text(self.path, json.dumps({"done": done, "total": self.total}))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
