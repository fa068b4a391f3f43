"""`wsol run` as a user starts it: whole, killed in every stage, repeated, and misused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

SETTINGS = """
workspace: {workspace}
resources:
  evaluate: {{actors: 1}}
  annotate: {{actors: 1, chunk_images: 8}}
job:
  name: small
  recipes: [digits-spn-tiny]
  epochs: 2
  data:
    digits: {{train: 128, val: 32, test: 24}}
    single_digits: {{train: 64, val: 16, test: 1}}
  search: {{trials: 3}}
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
# In every kind of stage that lasts long enough to be hit: `register` and `champion` take
# milliseconds, and pretraining is training.
KILLED = [s for s in STAGES if not s.startswith(("register", "champion", "pretrain"))]


def command(folder: Path, *arguments: str) -> list[str]:
    config = folder / "ray_config.yaml"
    if not config.exists():
        config.write_text(SETTINGS.format(workspace=folder / "workspace"))
    return [sys.executable, "-m", "orchestrator.cli", "--config", str(config), *arguments]


def wsol(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, *arguments), capture_output=True, text=True, timeout=400)


def answer(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr[-3000:]
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("job")
    return folder, answer(wsol(folder, "run", "-o", "json"))


def test_the_job_leaves_everything(finished: tuple[Path, dict[str, Any]]) -> None:
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


def test_the_registered_version_gives_the_same_numbers_in_a_fresh_process(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = finished
    workspace = folder / "workspace"
    shards = next((workspace / "shards").glob("digits-*"))
    done = wsol(
        folder, "evaluate", "wsol-digits@champion",
        "--shards", str(shards), "--split", "test", "--out", str(folder / "again"), "-o", "json",
    )  # fmt: skip
    stored = json.loads(
        (workspace / "jobs/small/train/digits-spn-tiny/evaluation/test/metrics.json").read_text()
    )
    assert answer(done)["metrics"] == stored["metrics"]


def test_killed_in_every_stage_it_ends_with_the_same_table(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, expected = finished
    killed = [stage for stage in KILLED if kill_in(tmp_path, stage)]
    # A short stage may end before the signal; the long ones may not.
    assert {"train-digits-spn-tiny", "tune-digits-spn-tiny", "annotate", "serve"} <= set(killed)
    result = answer(wsol(tmp_path, "run", "-o", "json"))
    assert result["table"] == expected["table"]
    assert result["champion"]["digest"] == expected["champion"]["digest"]
    assert result["served"]["detections"] == expected["served"]["detections"]


def kill_in(folder: Path, stage: str) -> bool:
    """Start the job, SIGKILL it soon after `stage` began; whether it was in that stage."""
    record = folder / "workspace/jobs/small/stages" / f"{stage}.json"
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
        time.sleep(5.0 if "train" in stage else 0.4)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    was_inside = not record.exists()
    time.sleep(1.5)  # Ray reaps the workers of a dead driver
    return was_inside


def wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)
