"""`wsol run` as a user starts it: whole, killed in every stage, repeated, and misused.

Without Ray, in one process: what Ray does with the same work is in test_ray.py.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import main
from orchestrator.engine.leases import lease

pytestmark = pytest.mark.integration

SETTINGS = """
cluster: inline
workspace: {workspace}
resources:
  annotate: {{chunk_images: 8}}
data:
  digits: {{train: 128, val: 32, test: 24}}
  single_digits: {{train: 64, val: 16, test: 1}}
train: {{epochs: 2}}
tune: {{trials: 3}}
pipeline:
  name: small
  recipes: [digits-spn-tiny]
"""
STAGES = (
    "data",
    "ingest",
    "pretrain-digits-pretrain-tiny",
    "train-digits-spn-tiny",
    "tune-digits-spn-tiny",
    "register-digits-spn-tiny",
    "champion",
    "evaluate-digits-spn-tiny",
    "annotate",
    "serve",
    "report",
)
# One of each kind that lasts long enough to be hit: `register` and `champion` take milliseconds,
# tuning and evaluating store maps, pretraining is training.
KILLED = ("train-digits-spn-tiny", "annotate", "serve")  # anywhere: tests/long


def command(folder: Path, *arguments: str) -> list[str]:
    config = folder / "ray_config.yaml"
    if not config.exists():
        config.write_text(SETTINGS.format(workspace=folder / "workspace"))
    return [sys.executable, "-m", "orchestrator.cli", "--config", str(config), *arguments]


@dataclass(frozen=True)
class Done:
    """A command that ended, in this process or in one of its own."""

    returncode: int
    stdout: str
    stderr: str


def wsol(folder: Path, *arguments: str) -> Done:
    """A command in this process: its exit code and all that it said."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(command(folder, *arguments)[3:])
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def answer(done: Done, code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr[-3000:]
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("pipeline")
    return folder, answer(wsol(folder, "run", "-o", "json"))


def test_it_leaves_everything(finished: tuple[Path, dict[str, Any]]) -> None:
    _, result = finished
    assert [row["name"] for row in result["table"]] == ["digits-spn-tiny", "centre"]
    assert 0 < result["table"][0]["classification_map"] <= 1
    assert Path(result["report"]).stat().st_size < 5 * 2**20
    assert result["served"]["model"]["digest"] == result["champion"]["digest"]
    assert tuple(result["seconds"]) == STAGES


def test_a_second_run_repeats_nothing(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    again = wsol(folder, "run", "-o", "json")
    assert answer(again) == result
    assert re.findall(r"\] (\S+): done before", again.stderr) == list(STAGES)


def test_other_settings_under_the_same_name_are_refused(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = finished
    done = wsol(folder, "run", "--set", "train.epochs=3")
    assert done.returncode == 5
    assert "train.epochs: 2 -> 3" in done.stderr
    assert "--fresh" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_registered_version_gives_the_same_numbers_again(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = finished
    workspace = folder / "workspace"
    shards = next((workspace / "shards").glob("digits-*"))
    done = wsol(
        folder, "evaluate", "wsol-digits@champion",
        "--shards", str(shards), "--split", "test", "--out", str(folder / "again"), "-o", "json",
    )  # fmt: skip
    run = workspace / "pipelines/small/train/digits-spn-tiny"
    stored = json.loads((run / "evaluation/test/metrics.json").read_text())
    assert answer(done)["metrics"] == stored["metrics"]


def test_a_second_one_at_the_same_time_is_refused_at_once(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, result = finished
    pipeline = folder / "workspace/pipelines/small"
    with lease(pipeline, "run"):
        for words in (["run"], ["run", "--fresh"]):
            done = wsol(folder, *words)
            assert done.returncode == 5
            assert f"'wsol run' works there (process {os.getpid()}" in done.stderr
    assert Path(result["report"]).exists()


def test_killed_in_long_stages_it_ends_with_the_same_table(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, expected = finished
    killed = [stage for stage in KILLED if kill_in(tmp_path, stage)]
    assert killed == list(KILLED)
    result = answer(wsol(tmp_path, "run", "-o", "json"))
    assert result["table"] == expected["table"]
    assert result["champion"]["digest"] == expected["champion"]["digest"]
    assert result["served"]["detections"] == expected["served"]["detections"]


def kill_in(folder: Path, stage: str) -> bool:
    """Start it, SIGKILL it soon after `stage` began; whether it was in that stage."""
    record = folder / "workspace/pipelines/small/stages" / f"{stage}.json"
    if record.exists():
        return False  # so short that it ended before the kill in the stage before it
    log = folder / f"{stage}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command(folder, "run"), stdout=subprocess.DEVNULL, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(log, f"] {stage} ...", process)
        time.sleep(1.0 if "train" in stage else 0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return not record.exists()


def wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)
