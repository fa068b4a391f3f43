"""A campaign of minutes: memory of a training for ten times as many images."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from orchestrator.benchmarks.peak_memory import PeakMemory
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import Workspace
from orchestrator.ingest import ingest
from orchestrator.tracking.events import learning_curves
from workloads.benchmarks.extent import Extent
from workloads.benchmarks.trainings import SMALL
from workloads.errors import WsolError

FEW: dict[Extent, int] = {"quick": 500, "usual": 2_000, "full": 10_000}
TIMES, DIFFERENT, SIDE = 10, 50, 64


def compare_train_memory(extent: Extent = "usual") -> dict[str, object]:
    """Peak memory of `wsol train` for ten times as many images over that for some; 1 is flat.

    JPEG files of 64x64 pixels, one epoch with inputs of 16x16 on two workers. The driver is the
    command itself (its proportional set size, sampled twice a second), a worker is the larger of
    both as it measures itself. The full extent has 100,000 images and 10,000.

    Returns:
        `ratio` many / few, the larger of both ratios; the peaks in MiB.
    """
    images = FEW[extent]
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as folder:
        few = _measure(Path(folder) / "few", images)
        many = _measure(Path(folder) / "many", TIMES * images)
    return {
        "name": "train-memory",
        "ratio": max(many[who] / few[who] for who in few),
        **{f"{who}_of_{images}": value for who, value in few.items()},
        **{f"{who}_of_{TIMES * images}": value for who, value in many.items()},
    }


def _measure(folder: Path, images: int) -> dict[str, float]:
    _make(folder / "raw", images)
    settings = Settings(workspace=folder / "workspace").resolved()
    here = settings.model_copy(update={"cluster": "inline"})
    shards = ingest(here, "folder", folder / "raw", folder / "shards").folder
    command = [sys.executable, "-m", "orchestrator.cli", "train", SMALL.recipe, "--name", "memory"]
    command += ["--shards", str(shards), "--initial", "random", "--epochs", "1"]
    command += ["--recipe-set", "train.image_size=16", "--recipe-set", "train.crop_margin=2"]
    command += ["--set", f"workspace={settings.workspace}", "--set", "data.val_split=train"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with PeakMemory(process.pid) as peak:
        _, said = process.communicate()
    if process.returncode != 0:
        raise WsolError(f"wsol train ended with {process.returncode}: {said[-500:]}")
    (epoch,) = learning_curves(Workspace(settings.workspace).run("memory").events)
    return {
        "driver_mb": round(peak.own_bytes / 2**20, 1),
        "worker_mb": round(epoch["memory_mb"], 1),
    }


def _make(root: Path, images: int) -> None:
    """Two classes of so many images; all but the first few are links, for it to be quick."""
    rng = np.random.default_rng(0)
    for number in range(images):
        place = root / "train" / f"class-{number % 2}" / f"{number:06d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        if number < DIFFERENT:
            stream = io.BytesIO()
            coarse = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((SIDE, SIDE)).save(stream, "JPEG")
            place.write_bytes(stream.getvalue())
        else:
            first = number % DIFFERENT
            os.link(root / "train" / f"class-{first % 2}" / f"{first:06d}.jpg", place)
