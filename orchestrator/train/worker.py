"""One worker's share of a training; the training itself knows nothing of Ray."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.config.settings import TrainResources
from orchestrator.config.workspace import RunPaths
from orchestrator.tracking.events import log_epoch, log_step
from orchestrator.train.final_error import has_final_error, noted_if_final
from orchestrator.train.rank_log import rank_log, say_epoch, say_here
from orchestrator.train.spec import TrainSpec, build
from orchestrator.train.stall import watched
from workloads.artifacts import write_text

if TYPE_CHECKING:
    import torch

    from workloads.methods.base import Method
    from workloads.training.loader import Loader
    from workloads.training.on_shards import TrainingData
    from workloads.training.options import TrainOptions
    from workloads.training.run import Position, TrainingRun
    from workloads.training.share import Share
    from workloads.training.team import Team

# At most so many points of a training's curves of steps, and so many steps between two.
MOST_POINTS, LEAST_STEPS = 500, 10


def new_training(
    spec: TrainSpec,
    resources: TrainResources,
    paths: RunPaths,
    device: torch.device,
    team: Team | None = None,
) -> TrainingRun:
    """A training from its start, with the checkpoints that there are."""
    from workloads.proposals.proposals import Proposals
    from workloads.recipes.network import input_size
    from workloads.shards.shards import Shards
    from workloads.training.checkpoint_folder import CheckpointFolder
    from workloads.training.on_shards import TrainingData, training_on

    data = TrainingData(
        Shards.open(spec.shards),
        input_size(spec.recipe),
        spec.train_split,
        spec.val_split,
        spec.limits,
        Proposals.open(spec.proposals) if spec.proposals else None,
        resources.loader_threads,
    )
    cadence = resources.cadence(keep_best=spec.recipe.train.model == "best")
    folder = CheckpointFolder(paths.checkpoints, cadence)
    method, options = build(spec), spec.recipe.train
    loader = _ray_data_loader(data, method, options, team) if spec.loader == "ray-data" else None
    training = training_on(data, method, options, device, team, loader=loader, checkpoints=folder)
    steps = options.epochs * training.loader.plan().steps
    training.node_metrics = resources.node_metrics
    training.steps_per_report = max(LEAST_STEPS, -(-steps // MOST_POINTS))
    return training


def _ray_data_loader(
    data: TrainingData, method: Method, options: TrainOptions, team: Team | None
) -> Loader:
    from orchestrator.train.ray_data_loader import RayDataLoader
    from workloads.training.on_shards import pace_of, shard_source
    from workloads.training.team import Team

    team = team or Team()
    source, pace = shard_source(data, method, options), pace_of(data, options, team.share)
    return RayDataLoader(source, pace, team, options.epochs)


def run_to_the_end(
    training: TrainingRun, spec: TrainSpec, paths: RunPaths, *, stall_s: float, says: bool
) -> None:
    """Train from the last checkpoint on; the first worker keeps curves and pictures.

    Args:
        stall_s: time without a step after which a worker notes that it waits.
        says: whether each epoch has a line in the worker's log.
    """
    training.resume()
    with watched(training, paths, stall_s):
        _epochs(training, spec, paths, says=says)


def _epochs(training: TrainingRun, spec: TrainSpec, paths: RunPaths, *, says: bool) -> None:
    from orchestrator.train.preview import Preview

    if says:
        say_here(training.summary())
    first = training.team.share.rank == 0
    preview = Preview(spec, paths.preview) if first else None
    listener = Reporter(paths) if first else (lambda _: None)
    for metrics in training.epochs(listener):
        if first:
            log_epoch(paths.events, metrics)  # first: it may be told twice, but not be left out
        if preview:
            preview.draw(training.result)
        if says:
            say_epoch(metrics)


class Reporter:
    """Writes the position of a training, at most once a second, and metrics of its steps."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._written = 0.0

    def __call__(self, position: Position) -> None:
        if position.metrics is not None:
            done = position.epoch * position.steps + position.step
            log_step(self.paths.events, done, position.metrics)
        now = time.monotonic()
        if now - self._written < 1.0 and position.images < position.total:
            return
        self._written = now
        place = {"done": position.images, "total": position.total}
        with suppress(OSError):  # it is only shown; training does not depend on it
            write_text(self.paths.progress, json.dumps(place))


def train_worker(config: dict[str, Any]) -> None:
    """Train this worker's share, on its own device; Ray Train runs it in every worker."""
    paths = RunPaths(Path(config["folder"]))
    if has_final_error(paths):
        return
    import ray.train
    import torch
    from ray.train.torch import get_device

    from workloads.training.share import Share

    resources = TrainResources.model_validate(config["resources"])
    torch.set_num_threads(resources.threads)
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    spec = TrainSpec.model_validate(config["spec"])
    share = Share(rank, world, spec.workers)
    with (
        rank_log(config["logs"], config["attempt"], share, get_device()),
        noted_if_final(paths),
    ):
        _train(spec, resources, paths, share, says=bool(config["logs"]))


def _train(
    spec: TrainSpec, resources: TrainResources, paths: RunPaths, share: Share, *, says: bool
) -> None:
    from ray.train.torch import get_device

    from workloads.training.team import Team

    team = Team(share, is_preempted=_Notice())
    training = new_training(spec, resources, paths, get_device(), team)
    run_to_the_end(training, spec, paths, stall_s=resources.stall_s, says=says)


class _Notice:
    """Whether a node of a worker is about to be taken away, told once; all workers ask together."""

    def __init__(self) -> None:
        self._told = False

    def __call__(self) -> bool:
        import ray.train

        if self._told or ray.train.get_preemption_info() is None:
            return False
        self._told = True
        return True
