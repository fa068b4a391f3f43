"""A campaign of minutes: from a submission to the first training step, beside a bare Ray job."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from clusters.cluster import load_cluster
from clusters.ray_command import ray_command
from clusters.state import STATE_VARIABLE
from orchestrator.benchmarks.until import until
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import Workspace
from orchestrator.data.make import make
from orchestrator.ingest import ingest
from workloads.artifacts import is_sealed
from workloads.benchmarks.extent import Extent
from workloads.datasets.digit_options import DigitsOptions
from workloads.errors import WsolError

ROUNDS: dict[Extent, int] = {"quick": 1, "usual": 3, "full": 5}
IMAGES = 512
_PATIENCE_S = 300.0


def compare_submission(extent: Extent = "usual") -> dict[str, object]:
    """`wsol submit -- train` and `ray job submit` of the same training, taking turns.

    Both are started as commands on a Ray that stays, whose one job at a time they are; the clock
    stops when the training has written its first position. One untimed job warms the caches.

    Returns:
        `ratio` bare / ours, the median over rounds; seconds of each, and transfers of code.
    """
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as name:
        place = _Place(Path(name))
        place.wsol("cluster", "up", "local")
        try:
            place.timed("warm", place.bare)
            seconds: dict[str, list[float]] = {"bare": [], "ours": []}
            for number in range(ROUNDS[extent]):
                seconds["bare"].append(place.timed(f"bare-{number}", place.bare))
                seconds["ours"].append(place.timed(f"ours-{number}", place.ours))
        finally:
            place.wsol("cluster", "down", "local")
    pairs = list(zip(seconds["bare"], seconds["ours"], strict=True))
    return {
        "name": "submit",
        "ratio": median(bare / ours for bare, ours in pairs),
        "seconds_bare": [round(bare, 2) for bare, _ in pairs],
        "seconds_ours": [round(ours, 2) for _, ours in pairs],
    }


class _Place:
    """Shards, and a workspace of a cluster of its own."""

    def __init__(self, folder: Path) -> None:
        self._workspace = Workspace(folder / "workspace")
        self._environment = {
            **os.environ,
            STATE_VARIABLE: str(folder / "state"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "NO_COLOR": "1",
        }
        self._environment.pop("RAY_AUTH_TOKEN", None)
        here = Settings(cluster="inline", workspace=folder / "here").resolved()
        digits = DigitsOptions(train=IMAGES, val=8, test=8)
        raw = make(here, "digits", {"digits": digits}, folder / "raw").root
        self._shards = ingest(here, "digits", raw, folder / "shards").folder

    def wsol(self, *words: str) -> str:
        """Output of a command of ours."""
        return self._run(sys.executable, "-m", "orchestrator.cli", *words)

    def ours(self, name: str) -> str:
        """Submit a training of that name; the job to wait for."""
        self.wsol(
            *("submit", "-q", "--name", name, "--set", f"workspace={self._workspace.folder}"),
            *("--", *self._training(name)),
        )
        return f"wsol-{name}"

    def bare(self, name: str) -> str:
        """The same as a plain Ray job."""
        settings = ("--set", "cluster=joined", "--set", f"workspace={self._workspace.folder}")
        words = (sys.executable, "-m", "orchestrator.cli", *self._training(name), *settings)
        job = f"bare-{name}"
        self._run(
            *(ray_command(), "job", "submit", "--no-wait", "--submission-id", job),
            *("--address", self._address(), "--", *words),
        )
        return job

    def timed(self, name: str, submit: Callable[[str], str]) -> float:
        """Seconds to the first step; the job has ended when this returns."""
        paths = self._workspace.run(name)
        started = time.monotonic()
        submit(name)
        until(paths.progress.exists, _PATIENCE_S)
        seconds = time.monotonic() - started
        until(lambda: is_sealed(paths.model), _PATIENCE_S)
        time.sleep(5.0)  # its workers end
        return seconds

    def _training(self, name: str) -> tuple[str, ...]:
        training = ("train", Settings().pipeline.recipes[0], "--shards", str(self._shards))
        return (*training, "--epochs", "1", "--name", name)

    def _address(self) -> str:
        before = os.environ.get(STATE_VARIABLE)
        os.environ[STATE_VARIABLE] = self._environment[STATE_VARIABLE]
        try:
            return load_cluster("local").submit_address()
        finally:
            if before is None:
                del os.environ[STATE_VARIABLE]
            else:
                os.environ[STATE_VARIABLE] = before

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            words, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise WsolError(f"{' '.join(words[:6])}: exit code {done.returncode}: {done.stderr}")
        return done.stdout
