"""Shards as a training reads them: its loader and the images of its validation curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workloads.images.decode import ImageLimits
from workloads.images.view import padding_colour
from workloads.methods.base import Method
from workloads.proposals.store import ProposalStore, read_proposals
from workloads.training.augmentation import Augmentation
from workloads.training.balance import Balance
from workloads.training.batch import Batch
from workloads.training.options import TrainOptions
from workloads.training.shard_loader import Pace, ShardLoader, Showing, validation_batches
from workloads.training.share import Share


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The splits of a shard folder that a training learns from and is watched on.

    Attributes:
        size: side of the network's input in pixels.
        proposals: folder of object proposals; methods that need none leave it unread.
    """

    shards: Path
    size: int
    train_split: str = "train"
    val_split: str = "val"
    limits: ImageLimits = ImageLimits()
    proposals: Path | None = None


def shard_loader(
    data: TrainingData, method: Method, options: TrainOptions, share: Share | None = None
) -> ShardLoader:
    """The loader of a worker; `options.batch_size` is that of all workers together.

    Raises:
        ConfigError: as `ShardLoader`.
        NotFound: no such split, or no such proposals.
    """
    share = share or Share()
    showing = Showing(
        augmentation(data.size, method, options),
        data.limits,
        method.needs,
        _proposals(data, method),
    )
    batch_size = max(1, options.batch_size // share.world)
    return ShardLoader(
        data.shards,
        data.train_split,
        method.num_classes,
        showing,
        Pace(batch_size, options.loader_threads),
        options.seed,
        share,
        _balance(data, method, options),
    )


def validation(
    data: TrainingData, method: Method, options: TrainOptions, share: Share | None = None
) -> Callable[[], Iterator[Batch]] | None:
    """Gives a worker's part of the images of the validation curve; None without a curve."""
    if options.validation_images == 0:
        return None
    return partial(
        validation_batches,
        data.shards,
        data.val_split,
        method.num_classes,
        augmentation(data.size, method, options).whole(),
        options.validation_images,
        share or Share(),
        data.limits,
    )


def augmentation(size: int, method: Method, options: TrainOptions) -> Augmentation:
    """The random views of training images."""
    return Augmentation(
        size,
        options.crop_margin,
        options.flip,
        options.fit,
        rotation_deg=options.rotation_deg,
        noise=options.noise,
        padding=padding_colour(method.backbone.mean),
    )


def _proposals(data: TrainingData, method: Method) -> ProposalStore | None:
    if data.proposals is None or "saliency" not in method.needs:
        return None
    return read_proposals(data.proposals, data.train_split)


def _balance(data: TrainingData, method: Method, options: TrainOptions) -> Balance | None:
    if not options.balance:
        return None
    limit = options.balance_limit
    return Balance.of_split(data.shards, data.train_split, method.num_classes, limit)
