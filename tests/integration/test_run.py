"""`wsol run` as a user starts it: whole, killed in every stage, repeated, and misused.

Without Ray, in one process: what Ray does with the same work is in test_ray.py.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from commands import start_wsol, wait_until, wsol

from orchestrator.engine.leases import lease

SETTINGS = """
cluster: inline
workspace: {workspace}
resources:
  annotate: {{chunk_images: 8}}
data:
  digits: {{train: 128, val: 32, test: 24}}
  single_digits: {{train: 64, val: 16, test: 1}}
train: {{epochs: 2}}
tune: {{alphas: 3}}
pipeline:
  name: small
  recipes: [digits-grad-cam-tiny]
"""
STAGES = (
    "data",
    "ingest",
    "pretrain-digits-pretrain-tiny-fc",
    "train-digits-grad-cam-tiny",
    "tune-digits-grad-cam-tiny",
    "register-digits-grad-cam-tiny",
    "champion",
    "evaluate-digits-grad-cam-tiny",
    "annotate",
    "serve",
    "report",
)
# One of each kind that lasts long enough to be hit: `register` and `champion` take milliseconds,
# tuning and evaluating store maps, pretraining is training.
KILLED = ("train-digits-grad-cam-tiny", "annotate", "serve")  # anywhere: tests/long


def configured(folder: Path, *words: str) -> tuple[str, ...]:
    """The words of a command with the settings of these tests."""
    config = folder / "ray_config.yaml"
    if not config.exists():
        config.write_text(SETTINGS.format(workspace=folder / "workspace"))
    return ("--config", str(config), *words)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("pipeline")
    return folder, wsol(*configured(folder, "run", "-o", "json")).answer()


def test_it_leaves_everything(finished: tuple[Path, dict[str, Any]]) -> None:
    _, result = finished
    assert [row["name"] for row in result["table"]] == ["digits-grad-cam-tiny", "centre"]
    assert 0 < result["table"][0]["classification_map"] <= 1
    assert Path(result["report"]).stat().st_size < 5 * 2**20
    assert result["served"]["model"]["digest"] == result["champion"]["digest"]
    assert tuple(result["seconds"]) == STAGES


def test_a_second_run_repeats_nothing(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    again = wsol(*configured(folder, "run", "-o", "json"))
    assert again.answer() == result
    assert re.findall(r"\] (\S+): done before", again.err) == list(STAGES)


def test_other_settings_under_the_same_name_are_refused(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = finished
    done = wsol(*configured(folder, "run", "--set", "train.epochs=3"))
    assert done.code == 5
    assert "train.epochs: 2 -> 3" in done.err
    assert "--fresh" in done.err
    assert "Traceback" not in done.err


def test_the_registered_version_gives_the_same_numbers_again(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = finished
    workspace = folder / "workspace"
    shards = next((workspace / "shards").glob("digits-*"))
    done = wsol(*configured(
        folder, "evaluate", "wsol-digits@champion",
        "--shards", str(shards), "--split", "test", "--out", str(folder / "again"), "-o", "json",
    ))  # fmt: skip
    run = workspace / "pipelines/small/train/digits-grad-cam-tiny"
    stored = json.loads((run / "evaluation/test/metrics.json").read_text())
    assert done.answer()["metrics"] == stored["metrics"]


def test_a_second_one_at_the_same_time_is_refused_at_once(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, result = finished
    pipeline = folder / "workspace/pipelines/small"
    with lease(pipeline, "run"):
        for words in (["run"], ["run", "--fresh"]):
            done = wsol(*configured(folder, *words))
            assert done.code == 5
            assert f"'wsol run' works there (process {os.getpid()}" in done.err
    assert Path(result["report"]).exists()


def test_killed_in_long_stages_it_ends_with_the_same_table(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, expected = finished
    killed = [stage for stage in KILLED if kill_in(tmp_path, stage)]
    assert killed == list(KILLED)
    result = wsol(*configured(tmp_path, "run", "-o", "json")).answer()
    assert result["table"] == expected["table"]
    assert result["champion"]["digest"] == expected["champion"]["digest"]
    assert result["served"]["detections"] == expected["served"]["detections"]


def kill_in(folder: Path, stage: str) -> bool:
    """Start it, SIGKILL it soon after `stage` began; whether it was in that stage."""
    record = folder / "workspace/pipelines/small/stages" / f"{stage}.json"
    if record.exists():
        return False  # so short that it ended before the kill in the stage before it
    said = folder / f"{stage}.log"
    process = start_wsol(*configured(folder, "run"), said=said)
    try:
        wait_until(lambda: f"] {stage} ..." in said.read_text(), process, said)
        if stage.startswith("train-"):  # its first step is done
            run = folder / "workspace/pipelines/small/train" / stage.removeprefix("train-")
            wait_until((run / "progress.json").exists, process, said)
        time.sleep(0.05)
    finally:
        process.kill()
        process.join()
    return not record.exists()
