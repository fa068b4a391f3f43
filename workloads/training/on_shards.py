"""A training on shards: its loader, and the batches that it is validated on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from workloads.images.decode import ImageLimits, decode
from workloads.images.view import View, padding_colour
from workloads.methods.base import Method
from workloads.proposals.proposals import Proposals
from workloads.proposals.store import ProposalStore
from workloads.shards.shards import Shards
from workloads.training.augmentation import Augmentation
from workloads.training.balance import Balance
from workloads.training.batch import Batch, Sample, collate
from workloads.training.loader import Loader
from workloads.training.options import TrainOptions
from workloads.training.run import TrainingRun
from workloads.training.shard_loader import ShardLoader
from workloads.training.shard_source import Pace, ShardSource
from workloads.training.share import Share
from workloads.training.showing import Showing
from workloads.training.team import Team


@dataclass(frozen=True)
class TrainingData:
    """Images to learn from and to validate on.

    Attributes:
        train, val: names of the splits.
        size: side of the network's square input, pixels.
        proposals: of the shards; methods that need none leave them unread.
        threads: that decode beside the training; 0 decodes in its own thread.
    """

    shards: Shards
    size: int
    train: str = "train"
    val: str = "val"
    limits: ImageLimits = field(default_factory=ImageLimits)
    proposals: Proposals | None = None
    threads: int = 0


def training_on(
    data: TrainingData,
    method: Method,
    options: TrainOptions,
    device: torch.device,
    team: Team | None = None,
    *,
    loader: Loader | None = None,
    **of_run: Any,
) -> TrainingRun:
    """A training from its start.

    Args:
        loader: instead of the one that reads shards.
        of_run: `checkpoints` and `steps_per_report` of `TrainingRun`.

    Raises:
        ConfigError: the images do not fill a batch, none has a class, or the method needs what is
            not there.
    """
    data.shards.require_positives(data.train)
    team = team or Team()
    return TrainingRun(
        method=method,
        options=options,
        loader=loader or shard_loader(data, method, options, team.share),
        validation=partial(validation_batches, data, method, options, team.share),
        device=device,
        team=team,
        **of_run,
    )


def shard_loader(
    data: TrainingData, method: Method, options: TrainOptions, share: Share
) -> ShardLoader:
    """The loader that a method's training on shards takes.

    Raises:
        ConfigError: as `ShardLoader`, `ShardSource` and `Showing` do.
    """
    return ShardLoader(shard_source(data, method, options), pace_of(data, options, share), share)


def shard_source(data: TrainingData, method: Method, options: TrainOptions) -> ShardSource:
    """The images that a method's training on shards shows."""
    showing = Showing(
        _augmentation(data, method, options), data.limits, method.needs, _proposals(data, method)
    )
    return ShardSource(
        data.shards.folder,
        data.train,
        method.num_classes,
        showing,
        options.seed,
        options.shuffle_pool,
        _balance(data, method, options),
    )


def pace_of(data: TrainingData, options: TrainOptions, share: Share) -> Pace:
    """Numbers of images that a training takes at once."""
    return Pace(options.batch_of(share), options.last_batch, data.threads)


def validation_batches(
    data: TrainingData, method: Method, options: TrainOptions, share: Share, batch_size: int = 64
) -> Iterator[Batch]:
    """This worker's part of the first images of the validation split, in order."""
    view = _augmentation(data, method, options).whole()
    samples: list[Sample] = []
    for number, sample in enumerate(_first(data, view, options.validation_images, share)):
        samples.append(sample)
        if (number + 1) % batch_size == 0:
            yield collate(samples, method.num_classes)
            samples = []
    if samples:
        yield collate(samples, method.num_classes)


def _first(data: TrainingData, view: View, limit: int, share: Share) -> Iterator[Sample]:
    """Every `world`-th of the first images, decoded."""
    seen = 0
    for group in data.shards.row_groups(data.val):
        if seen >= limit:
            return
        for record in group.read()[: limit - seen]:
            if seen % share.world == share.rank:
                yield Sample(view.pixels(decode(record.image, data.limits)), view, record)
            seen += 1


def _augmentation(data: TrainingData, method: Method, options: TrainOptions) -> Augmentation:
    return Augmentation(
        data.size,
        options.crop_margin,
        options.flip,
        options.fit,
        rotation_deg=options.rotation_deg,
        noise=options.noise,
        padding=padding_colour(method.backbone.mean),
        resize=options.resize,
    )


def _proposals(data: TrainingData, method: Method) -> ProposalStore | None:
    if data.proposals is None or not method.needs_proposals:
        return None
    return data.proposals.store(data.train)


def _balance(data: TrainingData, method: Method, options: TrainOptions) -> Balance | None:
    if not options.balance:
        return None
    folder, limit = data.shards.folder, options.balance_limit
    return Balance.of_split(folder, data.train, method.num_classes, limit)
