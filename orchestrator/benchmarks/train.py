"""A campaign of minutes: training through this project beside the same one without it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from orchestrator.benchmarks.until import until
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import Workspace
from orchestrator.data.make import make
from orchestrator.ingest import ingest
from orchestrator.tracking.events import learning_curves
from orchestrator.train.spec import TrainSpec, make_spec
from workloads.artifacts import read_json, write_json
from workloads.benchmarks.extent import Extent
from workloads.benchmarks.trainings import SMALL, TRAININGS, Training
from workloads.datasets.digit_options import DigitsOptions
from workloads.errors import WsolError
from workloads.recipes.load import load_recipe
from workloads.shards.shards import Shards

ROUNDS: dict[Extent, int] = {"quick": 1, "usual": 3, "full": 5}
WORKERS = 2
_PATIENCE_S = 600.0


def compare_training(extent: Extent = "usual") -> dict[str, object]:
    """Images per second through `wsol train`, with 2 workers of one CPU, over a bare script's.

    The script is a plain loop over the same network, loader and batches, on two processes of
    torch.distributed; the ways take turns, and the first epoch of each does not count. The seconds
    from the start of the command to the first step are those beside a bare script of Ray Train.

    Returns:
        `ratio`, the least of the networks' medians over rounds; ratio and images/s of each network;
        `start_ratio` bare Ray Train / ours, the seconds of both, and the images/s of that, too.
    """
    found: dict[str, object] = {}
    ratios = []
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        for name, row in TRAININGS.items():
            place = _Place(Path(scratch) / name, row)
            rounds = [_speeds(place, number) for number in range(ROUNDS[extent])]
            ratios.append(median(ours / bare for ours, bare in rounds))
            found |= {
                f"{name}_ratio": ratios[-1],
                f"{name}_images_per_s": median(ours for ours, _ in rounds),
                f"{name}_bare_images_per_s": median(bare for _, bare in rounds),
            }
        place = _Place(Path(scratch) / "start", SMALL)
        starts = [place.starts(number) for number in range(ROUNDS[extent])]
    found |= {
        "start_bare_ray_train_images_per_s": median(one.speed for _, one in starts),
        "start_ratio_of_images_per_s": median(ours.speed / bare.speed for ours, bare in starts),
        "start_ratio": median(bare.start_s / ours.start_s for ours, bare in starts),
        "start_seconds": [round(ours.start_s, 2) for ours, _ in starts],
        "start_bare_ray_train_seconds": [round(bare.start_s, 2) for _, bare in starts],
    }
    return {"name": "train", "ratio": min(ratios), **found}


def _speeds(place: _Place, number: int) -> tuple[float, float]:
    """Images/s of ours and of the bare script."""
    return place.ours(f"ours-{number}").speed, place.bare("processes", f"bare-{number}").speed


class _Timing(NamedTuple):
    """Images/s of each epoch after the first, and seconds to the first step."""

    speeds: list[float]
    start_s: float

    @property
    def speed(self) -> float:
        return median(self.speeds)


class _Place:
    """Shards, a specification, and a workspace."""

    def __init__(self, folder: Path, row: Training) -> None:
        self.folder = folder
        self.settings = Settings(workspace=folder / "workspace").resolved()
        here = self.settings.model_copy(update={"cluster": "inline"})
        digits = DigitsOptions(train=row.images, val=8, test=8)
        raw = make(here, "digits", {"digits": digits}, folder / "raw").root
        shards = ingest(here, "digits", raw, folder / "shards").folder
        recipe = load_recipe(row.recipe)
        train = recipe.train.model_copy(update=row.changes)
        recipe = recipe.model_copy(update={"train": train, "initial": None})
        self.row = row
        self.spec: TrainSpec = make_spec(
            self.settings, recipe, Shards.open(shards), ("train", "val")
        ).model_copy(update={"workers": WORKERS})
        write_json(folder / "spec.json", self.spec.model_dump(mode="json"))

    def starts(self, number: int) -> tuple[_Timing, _Timing]:
        """Ours and bare Ray Train."""
        return self.ours(f"start-{number}"), self.bare("ray", f"bare-start-{number}")

    def ours(self, name: str) -> _Timing:
        paths = Workspace(self.settings.workspace).run(name)
        sets = [f"train.{key}={value}" for key, value in self.row.changes.items()]
        words = (
            *("train", self.row.recipe, "--name", name, "--shards", str(self.spec.shards)),
            *("--initial", "random", "--set", f"workspace={self.settings.workspace}"),
            *("--set", f"resources.train.workers={WORKERS}"),
            *(word for one in sets for word in ("--recipe-set", one)),
        )
        started = time.time()
        with _running(sys.executable, "-m", "orchestrator.cli", *words):
            until(paths.progress.exists, _PATIENCE_S)
            first = time.time()
        curve = learning_curves(paths.events)
        return _Timing([epoch["images_per_s"] for epoch in curve[1:]], first - started)

    def bare(self, way: str, name: str) -> _Timing:
        result = self.folder / f"{name}.json"
        started = time.time()
        module = "orchestrator.benchmarks.bare_training"
        spec = str(self.folder / "spec.json")
        with _running(sys.executable, "-m", module, way, spec, str(result)):
            pass
        told = read_json(result)
        batch = self.spec.recipe.train.batch_size
        images = self.row.images // batch * batch
        speeds = [images / seconds for seconds in told["epoch_seconds"][1:]]
        return _Timing(speeds, told["first_step"] - started)


@contextmanager
def _running(*words: str) -> Iterator[None]:
    """A command beside the block, which has ended well after it."""
    with tempfile.TemporaryFile() as said:
        environment = {**os.environ, "NO_COLOR": "1"}
        process = subprocess.Popen(words, stdout=said, stderr=said, env=environment)
        try:
            yield
            code = process.wait(_PATIENCE_S)
        finally:
            process.kill()
            process.wait()
        if code:
            said.seek(0)
            end = said.read().decode(errors="replace")[-2000:]
            raise WsolError(f"{' '.join(words[:4])}: exit code {code}: {end}")
