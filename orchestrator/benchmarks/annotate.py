"""A campaign of minutes: annotation through this project beside a plain loop over the images."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import one_torch_thread
from workloads.benchmarks.plain_annotation import RUNS, PlainLoop, make_images, make_model
from workloads.errors import WsolError
from workloads.models.model import Model


def compare_annotation(extent: Extent = "usual") -> dict[str, object]:
    """Images per second of `wsol annotate` with one actor over those of a plain loop.

    JPEG files of 400x350 pixels, CAM with random weights. The loop is one process with one thread
    that decodes an image, runs the network on it, and finds the boxes of the same classes; it keeps
    nothing. Ours counts from the first part that was written to the last, so neither the start of
    Ray nor the loading of the model is in either figure. The ways take turns.

    Returns:
        `ratio`, the least of the networks' medians over rounds; for each network its ratio, the
        images/s of both, the images/s of two actors, and `two_actors_ratio` over one.
    """
    found: dict[str, object] = {}
    ratios = []
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        for name, run in RUNS.items():
            if not run.rounds[extent]:
                continue
            place = _Place(Path(scratch) / name, name, run.side, run.images[extent])
            rounds = [place.speeds(number) for number in range(run.rounds[extent])]
            one = median(speeds.one / speeds.plain for speeds in rounds)
            ratios.append(one)
            found |= {
                f"{name}_ratio": round(one, 3),
                f"{name}_plain_images_per_s": round(median(s.plain for s in rounds), 1),
                f"{name}_images_per_s": round(median(s.one for s in rounds), 1),
                f"{name}_two_actors_images_per_s": round(median(s.two for s in rounds), 1),
                f"{name}_two_actors_ratio": round(median(s.two / s.one for s in rounds), 3),
            }
    return {"name": "annotate", "ratio": min(ratios), **found}


class _Speeds(NamedTuple):
    """Images per second of the plain loop, of one actor, and of two."""

    plain: float
    one: float
    two: float


class _Place:
    """Images, and a model with random weights."""

    def __init__(self, folder: Path, backbone: str, side: int, images: int) -> None:
        self.folder = folder
        self.chunk = max(8, images // 40)
        self.files = make_images(folder / "images", images)
        self.model = make_model(folder / "model", backbone, side)

    def speeds(self, number: int) -> _Speeds:
        """One round; each way is tried once."""
        return _Speeds(self.plain(), self.ours(f"{number}-one", 1), self.ours(f"{number}-two", 2))

    def plain(self) -> float:
        """The loop."""
        with one_torch_thread():
            work = PlainLoop(Model.open(self.model))
            work.boxes(self.files[0])  # warms up
            started = time.perf_counter()
            for file in self.files:
                work.boxes(file)
            return len(self.files) / (time.perf_counter() - started)

    def ours(self, name: str, actors: int) -> float:
        out = self.folder / name
        words = (
            *("annotate", str(self.folder / "images"), "--model", str(self.model)),
            *("--out", str(out), "--set", f"workspace={self.folder / 'workspace'}"),
            *("--set", f"resources.annotate.actors={actors}"),
            *("--set", f"resources.annotate.chunk_images={self.chunk}"),
        )
        command = [sys.executable, "-m", "orchestrator.cli", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise WsolError(f"wsol annotate ended with {done.returncode}: {done.stderr[-500:]}")
        written = sorted(part.stat().st_mtime for part in (out / "parts").rglob("part-*"))
        return (len(written) - actors) * self.chunk / (written[-1] - written[actors - 1])
