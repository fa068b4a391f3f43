"""One worker's share of a training; the training itself knows nothing of Ray."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.tracking.events import log_epoch
from orchestrator.train.rank_log import rank_log, say_epoch
from orchestrator.train.spec import TrainSpec, build

if TYPE_CHECKING:
    import torch

    from workloads.training.run import TrainingRun
    from workloads.training.share import Share


def new_training(
    spec: TrainSpec, device: torch.device, share: Share | None = None, **of_workers: Any
) -> TrainingRun:
    """A training from its start.

    Args:
        of_workers: `wrap` and `gather` of a worker that has others beside it.
    """
    from workloads.proposals.proposals import Proposals
    from workloads.recipes.network import input_size
    from workloads.shards.shards import Shards
    from workloads.training.on_shards import TrainingData, training_on

    data = TrainingData(
        Shards.open(spec.shards),
        input_size(spec.recipe),
        spec.train_split,
        spec.val_split,
        spec.limits,
        Proposals.open(spec.proposals) if spec.proposals else None,
    )
    return training_on(data, build(spec), spec.recipe.train, device, share, **of_workers)


def train_worker(config: dict[str, Any]) -> None:
    """Train this worker's share, on its own device; Ray Train runs it in every worker."""
    import ray.train
    import torch
    from ray.train.torch import get_device

    from workloads.training.share import Share

    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    with rank_log(config["logs"], config["attempt"], share, get_device()):
        _train(config, share)


def _train(config: dict[str, Any], share: Share) -> None:
    import ray.train
    from ray.train.torch import get_device, prepare_model

    from orchestrator.train.preview import Preview

    spec = TrainSpec.model_validate(config["spec"])
    training = new_training(
        spec,
        get_device(),
        share=share,
        wrap=prepare_model if share.world > 1 else None,
        gather=_gather,
    )
    saved = ray.train.get_checkpoint()
    if saved is not None:
        with saved.as_directory() as folder:
            training.restore(Path(folder))
    first = share.rank == 0
    preview = Preview(spec, Path(config["preview"])) if first else None
    for metrics in training.epochs(Path(config["progress"]) if first else None):
        if preview:
            preview.draw(training.method)
        if config["logs"]:
            say_epoch(metrics)
        _report(training, metrics, share, Path(config["events"]))


def _report(training: Any, metrics: dict[str, float], share: Any, events: Path) -> None:
    import ray.train

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if share.rank == 0:
            log_epoch(events, metrics)  # first: it may be told twice, but not be left out
            training.save(Path(folder))
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(metrics, checkpoint=checkpoint)


def _gather(value: Any) -> list[Any]:
    """The value of every worker, in the order of ranks."""
    import torch.distributed as dist

    if not dist.is_initialized():
        return [value]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered
