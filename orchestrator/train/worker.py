"""What every Ray Train worker runs; the training itself knows nothing of Ray."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from orchestrator.train.spec import TrainSpec, build, image_size


def train_worker(config: dict[str, Any]) -> None:
    """One share of a training, on this worker's device."""
    import ray.train
    import torch
    import torch.distributed
    from ray.train.torch import get_device, prepare_model

    from workloads.training.run import TrainingRun
    from workloads.training.shard_loader import Share

    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    spec = TrainSpec.model_validate(config["spec"])
    run = TrainingRun(
        method=build(spec),
        options=spec.recipe.train,
        shards=spec.shards,
        train_split=spec.train_split,
        val_split=spec.val_split,
        size=image_size(spec.recipe),
        share=share,
        limits=spec.limits,
        proposals=spec.proposals,
        device=get_device(),
        wrap=prepare_model if share.world > 1 else None,
        gather=_gather,
    )
    saved = ray.train.get_checkpoint()
    if saved is not None:
        with saved.as_directory() as folder:
            run.restore(Path(folder))
    shown = Path(config["progress"]) if share.rank == 0 else None
    for metrics in run.epochs(shown):
        _report(run, metrics, share)


def _report(run: Any, metrics: dict[str, float], share: Any) -> None:
    import ray.train

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if share.rank == 0:
            run.save(Path(folder))
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
