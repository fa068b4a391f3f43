"""A training on workers that are real processes, over torch.distributed, to be killed anywhere."""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from workloads.methods.registry import build_method
from workloads.shards.shards import Shards
from workloads.tensors import write_tensors
from workloads.training.cadence import Cadence
from workloads.training.checkpoint_folder import CheckpointFolder
from workloads.training.on_shards import TrainingData, training_on
from workloads.training.options import TrainOptions
from workloads.training.run import Position, TrainingRun
from workloads.training.share import Share
from workloads.training.team import Team

CLASSES, PLANNED = 10, 2
OPTIONS = {
    "epochs": 2, "batch_size": 24, "image_size": 16, "crop_margin": 2, "learning_rate": 0.05,
    "validation_images": 8,
}  # fmt: skip


def train_in_team(
    rank: int,
    world: int,
    meeting: Path,
    folder: Path,
    shards: Path,
    options: dict[str, Any],
    kill_at: int | None,
) -> None:
    """One worker. It leaves its weights, curve and the images that it has shown, in their order.

    Args:
        meeting: a file that is not there yet, by which the workers find each other.
        kill_at: steps after which this process kills itself; None: never.
    """
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{meeting}", rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    run = _training(Team(Share(rank, world, PLANNED)), folder, shards, options)
    run.resume()
    shown = (folder / f"shown-{rank}.jsonl").open("a")
    step = _noted(run, shown)
    steps = 0

    def listener(_: Position) -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            if run.checkpoints:
                run.checkpoints.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    run.stepper.step = step  # type: ignore[method-assign]
    curve = list(run.epochs(listener))
    write_tensors(folder / f"weights-{rank}.safetensors", run.result.state_dict())
    (folder / f"curve-{rank}.json").write_text(json.dumps(curve))
    dist.destroy_process_group()


def _training(team: Team, folder: Path, shards: Path, options: dict[str, Any]) -> TrainingRun:
    torch.manual_seed(0)
    method = build_method("cam", "tiny", CLASSES, "multilabel", "tiny", {})
    return training_on(
        TrainingData(Shards.open(shards), 16),
        method,
        TrainOptions.parse({**OPTIONS, **options}, "train"),
        torch.device("cpu"),
        team,
        checkpoints=CheckpointFolder(folder / "checkpoints", Cadence(steps=1)),
    )


def _noted(run: TrainingRun, shown: Any) -> Any:
    """A step that writes down which images it was shown."""
    learn = run.stepper.step

    def step(batch: Any, rate: float, **more: Any) -> Any:
        row = {"epoch": run.epoch, "step": run.steps_done, "rate": rate}
        names = batch.image_ids if batch.weight else ()
        shown.write(json.dumps({**row, "images": names}) + "\n")
        shown.flush()
        return learn(batch, rate, **more)

    return step
