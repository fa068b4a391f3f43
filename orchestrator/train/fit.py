"""Train a spec to its end: on Ray Train's workers, or in this process."""

from __future__ import annotations

import logging
from pathlib import Path

from orchestrator.config.settings import TrainResources
from orchestrator.config.workspace import RunPaths
from orchestrator.jobs.inside import current_attempt, current_job
from orchestrator.train.final_error import final_error_raised
from orchestrator.train.spec import TrainSpec
from orchestrator.train.worker import new_training, run_to_the_end, train_worker
from workloads.errors import WsolError
from workloads.storage.addresses import shown


def fit_on_ray(resources: TrainResources, spec: TrainSpec, paths: RunPaths) -> Path:
    """The folder of the checkpoint whose weights become the model.

    The same path drives CPUs and GPUs; Ray Train starts workers, and starts them anew from the
    last checkpoint.

    Raises:
        WsolError: as a worker met it, where another attempt would only repeat it.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from workloads.storage.buckets import arrow_place

    place, filesystem = arrow_place(paths.ray_storage)
    use_gpu, job = resources.gpus_per_worker > 0, current_job()
    per_worker = {"CPU": resources.cpus_per_worker}
    if use_gpu:
        per_worker["GPU"] = resources.gpus_per_worker
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "spec": spec.model_dump(mode="json"),
            "resources": resources.model_dump(mode="json"),
            "folder": str(paths.folder),
            "logs": None if job is None else shown(job.logs),
            "attempt": current_attempt(),
        },
        scaling_config=ScalingConfig(
            num_workers=resources.workers, use_gpu=use_gpu, resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name=paths.name,
            storage_path=place,
            storage_filesystem=filesystem,
            failure_config=FailureConfig(
                max_failures=resources.max_failures, controller_failure_limit=2
            ),
        ),
    )
    with final_error_raised(paths):
        trainer.fit()
    return chosen_checkpoint(spec, paths)


def fit_inline(resources: TrainResources, spec: TrainSpec, paths: RunPaths) -> Path:
    """The folder of the checkpoint whose weights become the model, made in this process."""
    import torch

    torch.set_num_threads(resources.threads)
    training = new_training(spec, resources, paths, torch.device(resources.device))
    run_to_the_end(training, spec, paths, stall_s=resources.stall_s, says=False)
    return chosen_checkpoint(spec, paths)


def chosen_checkpoint(spec: TrainSpec, paths: RunPaths) -> Path:
    """The last checkpoint, or the best one where the recipe says so.

    Raises:
        WsolError: there is none.
    """
    from workloads.training.checkpoint_folder import CheckpointFolder

    folder = CheckpointFolder(paths.checkpoints)
    best = folder.best() if spec.recipe.train.model == "best" else None
    chosen = best or folder.latest()
    if chosen is None:
        raise WsolError(f"run '{paths.name}': training ended without a checkpoint")
    return chosen
