"""Memory of ingestion for ten times as many images."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from orchestrator.benchmarks.peak_memory import PeakMemory
from workloads.benchmarks.extent import Extent
from workloads.datasets.voc import IMAGES, Voc2007
from workloads.records import GroundTruth, Record
from workloads.shards.shards import Shards

FEW: dict[Extent, int] = {"quick": 100, "usual": 400, "full": 2_000}
TIMES = 10  # as many images
DIFFERENT = 100  # images that are really different; the others are links to them
WIDTH, HEIGHT = 500, 375


def compare_ingest_memory(extent: Extent = "usual") -> dict[str, object]:
    """Peak memory of `wsol ingest` for ten times as many images over that for some; 1 is flat.

    Images of VOC's usual 500x375 pixels (about 85 kB as JPEG) in VOC's layout, ingested by the
    command itself with its defaults. Memory is the proportional set size (shared pages counted
    once) of the command and every process below it, Ray's own included, sampled twice a second.
    The full extent has 20,000 images and 2,000, the usual one 4,000 and 400.

    Returns:
        `ratio` many / few; the peaks in MiB, images per second and shards of both.
    """
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as folder:
        images = FEW[extent]
        few = _measure(Path(folder) / "few", images)
        many = _measure(Path(folder) / "many", TIMES * images)
    return {
        "name": "ingest-memory",
        "ratio": many["peak_mb"] / few["peak_mb"],
        **{f"{key}_of_{images}": value for key, value in few.items()},
        **{f"{key}_of_{TIMES * images}": value for key, value in many.items()},
    }


def _measure(folder: Path, images: int) -> dict[str, float]:
    _make(folder / "raw", images)
    command = [sys.executable, "-m", "orchestrator.cli", "ingest"]
    command += ["--dataset", Voc2007.name, "--root", "raw", "--out", "shards", "-o", "json"]
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with PeakMemory(process.pid) as peak:
        _, said = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"wsol ingest ended with {process.returncode}: {said[-500:]}")
    seconds = time.monotonic() - started
    split = Shards.open(folder / "shards").splits["train"]
    assert split.read == images
    return {
        "peak_mb": round(peak.bytes / 2**20, 1),
        "images_per_s": round(images / seconds, 1),
        "shards": len(split.shards),
    }


def _make(root: Path, images: int) -> None:
    """A tree of so many images; all but the first few are links, so that it is made quickly."""
    Voc2007.write(root, Voc2007.class_names, _records(images))
    folder = root / IMAGES
    for index in range(DIFFERENT, images):
        path = folder / f"{index:06d}.jpg"
        path.unlink()
        os.link(folder / f"{index % DIFFERENT:06d}.jpg", path)


def _records(images: int) -> Iterator[Record]:
    box = np.array([[10, 20, 300, 200]], np.float32)
    for index in range(images):
        truth = GroundTruth.from_boxes(box, np.array([index % 20], np.int32))
        data = _picture(index) if index < DIFFERENT else b""
        yield Record(f"{index:06d}", "train", data, WIDTH, HEIGHT, truth)


def _picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((WIDTH, HEIGHT)).save(stream, "JPEG", quality=92)
    return stream.getvalue()
