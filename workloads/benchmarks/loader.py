"""Batches for training from shards against PyTorch's own loader over the same images."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from workloads.benchmarks.extent import Extent
from workloads.datasets.registry import open_dataset
from workloads.images.decode import ImageLimits, decode
from workloads.shards.shards import Shards
from workloads.shards.write import finish_shards, ingest_shard
from workloads.training.augmentation import Augmentation
from workloads.training.shard_loader import ShardLoader
from workloads.training.shard_source import Pace, ShardSource
from workloads.training.showing import Showing

WIDTH, HEIGHT = 400, 350
VIEW = Augmentation(224, margin=30, flip=True)
BATCH, WORKERS = 32, (1, 2)
IMAGES: dict[Extent, int] = {"quick": 128, "usual": 512, "full": 2048}
ROUNDS: dict[Extent, int] = {"quick": 1, "usual": 5, "full": 9}


class _Files(Dataset[tuple[Tensor, Tensor]]):
    """JPEG files, shown as training shows them."""

    def __init__(self, files: list[Path], decode: Callable[[bytes], NDArray[np.uint8]]) -> None:
        self.files, self.decode = files, decode

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([0, index])
        view = VIEW.draw(rng, WIDTH, HEIGHT)
        pixels = view.pixels(self.decode(self.files[index].read_bytes()))
        return torch.from_numpy(pixels), torch.zeros(2)


def _ours(data: bytes) -> NDArray[np.uint8]:
    return decode(data, ImageLimits())


def _pillow(data: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def compare_loader(extent: Extent = "usual") -> dict[str, object]:
    """Images per second of the shard loader over those of `torch.utils.data.DataLoader`.

    JPEG files of 400x350 pixels, resized to 254x254, cropped to 224x224 and mirrored at random, in
    batches of 32; decoded by 1 and by 2 threads, or by as many processes of PyTorch's loader, which
    stay alive between epochs. It decodes with the same function, and once more with Pillow as most
    scripts do; pixels are equal. Whole epochs take turns, after one of each that is not counted.

    Returns:
        `ratio` at two workers, of the same function; ratios and images/s at each number of workers.
    """
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        files, shards = make_images(Path(scratch), IMAGES[extent])
        for workers in WORKERS:
            ways = {
                "shards": _of_shards(shards, workers),
                "torch": _of_torch(_Files(files, _ours), workers),
                "torch_pillow": _of_torch(_Files(files, _pillow), workers),
            }
            speeds = _speeds(ways, ROUNDS[extent])
            found |= {f"{way}_{workers}_images_per_s": median(s) for way, s in speeds.items()}
            for baseline, suffix in (("torch", ""), ("torch_pillow", "_pillow")):
                pairs = zip(speeds["shards"], speeds[baseline], strict=True)
                found[f"ratio_{workers}{suffix}"] = median(ours / theirs for ours, theirs in pairs)
    return {"name": "loader", "ratio": found[f"ratio_{WORKERS[-1]}"], **found}


def _speeds(ways: dict[str, Callable[[int], int]], rounds: int) -> dict[str, list[float]]:
    """Images/s of each way in each round."""
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, epoch in ways.items():
            started = time.perf_counter()
            images = epoch(number)
            if number:
                speeds[way].append(images / (time.perf_counter() - started))
    return speeds


def _of_shards(shards: Shards, threads: int) -> Callable[[int], int]:
    pace = Pace(BATCH, threads=threads)
    source = ShardSource(shards.folder, "train", len(shards.classes), Showing(VIEW))
    loader = ShardLoader(source, pace)
    return lambda epoch: sum(len(batch.images) for batch in loader.batches(epoch))


def _of_torch(files: _Files, processes: int) -> Callable[[int], int]:
    loader = DataLoader(
        files, BATCH, shuffle=True, drop_last=True, num_workers=processes,
        persistent_workers=True,
        multiprocessing_context="forkserver",  # our threads' locks are not those of its processes
    )  # fmt: skip
    return lambda _: sum(len(images) for images, _ in loader)


def make_images(folder: Path, images: int) -> tuple[list[Path], Shards]:
    """JPEG files in a folder for each of two classes, and shards of them."""
    rng = np.random.default_rng(0)
    for number in range(images):
        coarse = rng.integers(0, 256, (14, 16, 3)).astype(np.uint8)
        smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        grain = rng.normal(0, 6, smooth.shape)
        pixels = np.clip(smooth + grain, 0, 255).astype(np.uint8)
        file = folder / "raw" / "train" / f"class-{number % 2}" / f"{number:06d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
    dataset = open_dataset("folder", folder / "raw")
    items = dataset.items("train")
    out = folder / "shards"
    out.mkdir()
    result = ingest_shard(dataset, items, out / "train-00000.parquet", ImageLimits())
    finish_shards(out, dataset, {"train": len(items)}, [result])
    return sorted((folder / "raw").rglob("*.jpg")), Shards.open(out)
