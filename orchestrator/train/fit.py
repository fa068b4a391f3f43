"""Train a spec to its last checkpoint: on Ray Train's workers, or in this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.config.settings import TrainResources
from orchestrator.config.workspace import RunPaths
from orchestrator.jobs.inside import current_attempt, current_job
from orchestrator.tracking.events import log_epoch
from orchestrator.train.snapshot import keeper_of, mend, snapshot_of
from orchestrator.train.spec import TrainSpec
from orchestrator.train.worker import new_training, train_worker
from workloads.artifacts import is_sealed, remove, unseal
from workloads.errors import WsolError
from workloads.storage.addresses import shown
from workloads.storage.storage import storage_of


@contextmanager
def fit_on_ray(resources: TrainResources, spec: TrainSpec, paths: RunPaths) -> Iterator[Path]:
    """The folder of the last checkpoint, for the time of the block.

    The same path drives CPUs and GPUs; Ray Train keeps the checkpoints and restarts workers.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from workloads.storage.buckets import arrow_place

    place, filesystem = arrow_place(paths.ray_storage)
    snapshot = snapshot_of(paths)
    mend(snapshot)
    use_gpu, job = resources.gpus_per_worker > 0, current_job()
    per_worker = {"CPU": resources.cpus_per_worker}
    if use_gpu:
        per_worker["GPU"] = resources.gpus_per_worker
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "spec": spec.model_dump(mode="json"),
            "events": str(paths.events),
            "progress": str(paths.progress),
            "preview": str(paths.preview),
            "threads": resources.threads,
            "logs": None if job is None else shown(job.logs),
            "attempt": current_attempt(),
        },
        scaling_config=ScalingConfig(
            num_workers=spec.workers, use_gpu=use_gpu, resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name=paths.name,
            storage_path=place,
            storage_filesystem=filesystem,
            callbacks=[keeper_of(snapshot)],
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            failure_config=FailureConfig(
                max_failures=resources.max_failures, controller_failure_limit=2
            ),
        ),
    )
    checkpoint = trainer.fit().checkpoint
    if checkpoint is None:
        raise WsolError(f"run '{paths.name}': training ended without a checkpoint")
    with checkpoint.as_directory() as folder:
        yield Path(folder)


@contextmanager
def fit_inline(resources: TrainResources, spec: TrainSpec, paths: RunPaths) -> Iterator[Path]:
    """The folder of the last checkpoint, made by one worker in this process.

    It continues after its last whole epoch.
    """
    import torch

    from orchestrator.train.preview import Preview

    torch.set_num_threads(resources.threads)
    training = new_training(spec, torch.device("cpu"))
    preview = Preview(spec, paths.preview)
    last = _last_checkpoint(paths)
    if last is not None:
        training.restore(last)
    for metrics in training.epochs(paths.progress):
        log_epoch(paths.events, metrics)  # first: it may be told twice, but not be left out
        preview.draw(training.method)
        earlier, last = last, paths.checkpoint(int(metrics["epoch"]))
        training.save(last)
        if earlier is not None and earlier != last:
            _remove(earlier)
    if last is None:
        raise WsolError(f"run '{paths.name}': training ended without a checkpoint")
    yield last


def _last_checkpoint(paths: RunPaths) -> Path | None:
    """That of the last epoch which is whole; a killed writer may have left half of one."""
    found = storage_of(paths.checkpoints).entries(paths.checkpoints)
    return max(filter(is_sealed, found), default=None)


def _remove(checkpoint: Path) -> None:
    unseal(checkpoint)  # first: half of it must not count
    for file in storage_of(checkpoint).files(checkpoint):
        remove(file)
