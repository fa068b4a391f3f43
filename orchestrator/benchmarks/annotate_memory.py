"""Memory of an annotation for many times as many images."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from orchestrator.benchmarks.peak_memory import PeakMemory
from workloads.benchmarks.extent import Extent
from workloads.benchmarks.plain_annotation import make_images, make_small_model
from workloads.errors import WsolError

FEW: dict[Extent, int] = {"quick": 100, "usual": 1_000, "full": 1_000}
TIMES: dict[Extent, int] = {"quick": 5, "usual": 10, "full": 50}


def compare_annotation_memory(extent: Extent = "usual") -> dict[str, object]:
    """Peak memory of `wsol annotate` for many times as many images over that for some; 1 is flat.

    CAM on the smallest network, with the command's defaults: two actors, both usual exports.
    Memory is the proportional set size (shared pages counted once), sampled twice a second. The
    full extent has 50,000 images and 1,000.

    Returns:
        `ratio` many / few of the command and every process below it, Ray's own included;
        `own_ratio` of the command alone; the peaks of both in MiB.
    """
    few, many = FEW[extent], FEW[extent] * TIMES[extent]
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        model = make_small_model(Path(scratch) / "model")
        peaks = {count: _peak(Path(scratch) / str(count), count, model) for count in (few, many)}
    return {
        "name": "annotate-memory",
        "ratio": peaks[many].bytes / peaks[few].bytes,
        "own_ratio": peaks[many].own_bytes / peaks[few].own_bytes,
        **{f"peak_mb_of_{count}": _mib(peak.bytes) for count, peak in peaks.items()},
        **{f"own_peak_mb_of_{count}": _mib(peak.own_bytes) for count, peak in peaks.items()},
    }


def _peak(folder: Path, images: int, model: Path) -> PeakMemory:
    make_images(folder / "images", images)
    command = [sys.executable, "-m", "orchestrator.cli", "annotate", "images", "--out", "out"]
    command += ["--model", str(model)]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with PeakMemory(process.pid) as peak:
        _, said = process.communicate()
    if process.returncode != 0:
        raise WsolError(f"wsol annotate ended with {process.returncode}: {said[-500:]}")
    return peak


def _mib(held: int) -> float:
    return round(held / 2**20, 1)
