"""Batches decoded by Ray Data beside those that a worker decodes for itself."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from orchestrator.config.settings import Settings
from orchestrator.engine.connect import connect
from orchestrator.train.ray_data_loader import RayDataLoader
from workloads.benchmarks.extent import Extent
from workloads.benchmarks.loader import BATCH, VIEW, make_images
from workloads.training.loader import Loader
from workloads.training.shard_loader import ShardLoader
from workloads.training.shard_source import Pace, ShardSource
from workloads.training.showing import Showing
from workloads.training.team import Team

IMAGES: dict[Extent, int] = {"quick": 256, "usual": 1024, "full": 4096}
EPOCHS: dict[Extent, int] = {"quick": 2, "usual": 4, "full": 6}
THREADS = 2


def compare_ray_data_loader(extent: Extent = "usual") -> dict[str, object]:
    """Images per second of the loader on Ray Data over those of the shard loader.

    Both decode JPEG files of 400x350 pixels for one worker that only takes batches: tasks of Ray on
    this machine's CPUs, or two threads. Epochs after the first are counted; that one has the start
    of Ray's tasks in it, which is given by itself.

    Returns:
        `ratio`; images/s of both, and seconds to the first batch on Ray Data.
    """
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        _, shards = make_images(Path(scratch), IMAGES[extent])
        showing = Showing(VIEW)
        source = ShardSource(shards.folder, "train", len(shards.classes), showing)
        pace, epochs = Pace(BATCH, threads=THREADS), EPOCHS[extent]
        ours = _speed(ShardLoader(source, pace), epochs)
        settings = Settings(workspace=Path(scratch) / "workspace").resolved()
        with connect(settings):
            loader = RayDataLoader(source, pace, Team(), epochs)
            started = time.perf_counter()
            batches = iter(loader.batches(0))
            next(batches)
            first = time.perf_counter() - started
            for _ in batches:
                pass
            on_ray = _speed(loader, epochs, first=1)
    return {
        "name": "loader-ray-data",
        "ratio": on_ray / ours,
        "shards_images_per_s": ours,
        "ray_data_images_per_s": on_ray,
        "ray_data_first_batch_s": first,
    }


def _speed(loader: Loader, epochs: int, first: int = 0) -> float:
    """Images/s, the median of epochs."""
    return median(_images_per_s(loader, epoch) for epoch in range(first, epochs))


def _images_per_s(loader: Loader, epoch: int) -> float:
    started = time.perf_counter()
    images = sum(len(batch.images) for batch in loader.batches(epoch))
    return images / (time.perf_counter() - started)
