"""Campaigns on a real Ray: sweeps killed at random, trials ended early, and what they leave.

`make test-long` prints the figures that stand in docs/reliability.md.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.config.settings import Settings
from orchestrator.data.make import make
from orchestrator.ingest import ingest
from workloads.datasets.digit_options import DigitsOptions
from workloads.models.model import Model

KILLS = 3
TINY = {"digits": DigitsOptions(train=512, val=32, test=16)}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    here = Settings(cluster="inline")
    raw = make(here, "digits", TINY, folder / "raw").root
    return ingest(here, "digits", raw, folder / "shards").folder


def words_of(workspace: Path, shards: Path, *words: str) -> list[str]:
    return [
        *(sys.executable, "-m", "orchestrator.cli", "tune", "digits-cam-tiny", "-o", "json"),
        *("--shards", str(shards), "--initial", "random", "--recipe-set", "train.epochs=4"),
        *("--set", f"workspace={workspace}", *words),
    ]


def trials_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [{k: v for k, v in trial.items() if k != "seconds"} for trial in answer["trials"]]


def test_a_sweep_killed_at_random_is_the_same_sweep(shards: Path, tmp_path: Path) -> None:
    options = ("--trials", "4", "--set", "resources.train.checkpoint_steps=4")
    done = subprocess.run(
        words_of(tmp_path / "whole", shards, *options), capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-2000:]
    whole = json.loads(done.stdout)
    rng, kills, struck = random.Random(0), 0, []
    while True:
        process = subprocess.Popen(
            words_of(tmp_path / "killed", shards, *options, "--resume"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if kills == KILLS:
            out, err = process.communicate(timeout=400)
            assert process.returncode == 0, err[-2000:]
            break
        time.sleep(rng.uniform(12, 20))
        struck.append(_strike(process, a_trial=kills % 2 == 0))
        kills += 1
        if struck[-1] == "the command":
            process.communicate()
            time.sleep(6)  # its Ray ends by itself
        else:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)
    again = json.loads(out)
    assert trials_of(again) == trials_of(whole)
    digests = {Model.open(Path(one["model"])).digest for one in (again, whole)}
    assert len(digests) == 1
    sys.stdout.write(f"sweep: {kills} kills ({', '.join(struck)}), the same four trials\n")


def _strike(process: subprocess.Popen[str], *, a_trial: bool) -> str:
    """SIGKILL to the process of a trial, as soon as there is one, or to the command."""
    if not a_trial:
        process.kill()
        return "the command"
    for _ in range(300):
        trials = [
            one for one in psutil.Process(process.pid).children(recursive=True) if _is_trial(one)
        ]
        if trials:
            trials[0].kill()
            time.sleep(5)
            return "a trial"
        time.sleep(0.1)
    raise AssertionError("no process of a trial in 30 s")


def _is_trial(process: psutil.Process) -> bool:
    """Whether it is a worker that Tune's trial runs in, by the title that Ray gives it."""
    try:
        return "ray::ImplicitFunc" in "".join(process.cmdline()[:1])
    except psutil.Error:
        return False


def test_trials_that_are_ended_early_give_back_what_they_reserved(
    shards: Path, tmp_path: Path
) -> None:
    """In a Ray of this process, whose placement groups can be looked at after the sweep."""
    script = tmp_path / "sweep.py"
    script.write_text(SCRIPT.format(workspace=tmp_path / "ws", shards=shards))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["stopped"] >= 1, told
    assert told["finished"] >= 1
    assert told["reserved"] == []
    sys.stdout.write(f"sweep with trials ended early: {told}\n")


SCRIPT = """
import json
from pathlib import Path
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import Workspace
from orchestrator.engine.connect import connect
from orchestrator.sweep.spec import make_sweep
from orchestrator.sweep.sweep import sweep
from workloads.recipes.load import load_recipe
from workloads.shards.shards import Shards

settings = Settings.parse({{
    "workspace": "{workspace}",
    "sweep": {{"trials": 5, "stop": "asha"}},
}}, "test").resolved()
recipe = load_recipe("digits-cam-tiny", ["train.epochs=6"])
spec, suggestions = make_sweep(
    settings, recipe, Shards.open(Path("{shards}")), initial={{"backbone": "random"}}
)
with connect(settings):
    result = sweep(settings, spec, suggestions, Workspace(settings.workspace).sweep("one"))
    from ray.util import placement_group_table
    table = placement_group_table()
    reserved = [g["state"] for g in table.values() if g["state"] != "REMOVED"]
print(json.dumps({{"finished": result.finished, "stopped": result.stopped,
                   "failed": result.failed, "reserved": reserved}}))
"""
