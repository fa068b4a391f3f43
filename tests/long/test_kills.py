"""Campaigns: pipelines and annotations killed at random moments end as if left in peace.

`make test-long` prints the figures that stand in docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from killed_annotation import exports
from samples import make_images, make_model

SETTINGS = """
cluster: inline
workspace: {workspace}
resources:
  annotate: {{chunk_images: 4}}
  ingest: {{shard_mb: 0.05}}
data:
  digits: {{train: 128, val: 32, test: 24}}
  single_digits: {{train: 64, val: 16, test: 1}}
train: {{epochs: 4}}
tune: {{alphas: 3}}
pipeline:
  name: small
  recipes: [digits-spn-tiny, digits-cam-tiny]
"""
KILLS = 25


def wsol(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "orchestrator.cli", "--config", str(folder / "c.yaml"), *words]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    (folder / "c.yaml").write_text(SETTINGS.format(workspace=folder / "workspace"))
    return subprocess.Popen(
        wsol(folder, *words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def killed_until_done(folder: Path, rng: random.Random, *words: str) -> tuple[str, int]:
    """Stdout of the run that was let finish, and how often one was killed before."""
    kills = 0
    while True:
        process = start(folder, *words)
        try:
            out, _ = process.communicate(timeout=rng.uniform(2.5, 7.0) if kills < KILLS else None)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, rng.choice([signal.SIGKILL, signal.SIGTERM]))
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0
        return out, kills


def content(result: dict[str, Any]) -> dict[str, Any]:
    champion = {k: result["champion"][k] for k in ("recipe", "digest", "values")}
    return {
        "table": result["table"], "champion": champion,
        "detections": result["served"]["detections"],
    }  # fmt: skip


def test_a_pipeline_killed_at_random(tmp_path: Path) -> None:
    peace, war = tmp_path / "peace", tmp_path / "war"
    for folder in (peace, war):
        folder.mkdir()
    began = time.monotonic()
    whole, _ = start(peace, "run", "-o", "json").communicate()
    out, kills = killed_until_done(war, random.Random(0), "run", "-o", "json")
    assert content(json.loads(out)) == content(json.loads(whole))
    assert kills >= 5
    seconds = time.monotonic() - began
    print(f"\npipeline: {kills} kills, the same table, model and boxes; {seconds:.0f} s")  # noqa: T201


def test_an_annotation_killed_at_random(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images", 1200)
    model = make_model(tmp_path / "model", seed=0)
    outs = {}
    kills = 0
    for name in ("peace", "war"):
        folder = tmp_path / name
        folder.mkdir()
        out = folder / "out"
        words = ("annotate", str(images), "--model", str(model), "--out", str(out), "-o", "json")
        if name == "peace":
            start(folder, *words).communicate()
        else:
            _, kills = killed_until_done(folder, random.Random(1), *words)
        outs[name] = exports(out)
    assert outs["peace"] == outs["war"]
    print(f"\nannotation: {kills} kills, 1200 images, the same bytes")  # noqa: T201


@pytest.mark.parametrize("round_", range(10))
def test_of_six_that_start_together_one_works(tmp_path: Path, round_: int) -> None:
    """All want the same pipeline folder at once: one runs, the others are refused with code 5."""
    racers = [start(tmp_path, "run", "-o", "json") for _ in range(6)]
    deadline = time.monotonic() + 90
    while sum(racer.poll() == 5 for racer in racers) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    codes = [racer.poll() for racer in racers]
    for racer in racers:
        racer.kill()
        racer.communicate()
    assert codes.count(5) == 5, codes
    assert codes.count(None) + codes.count(0) == 1, "the one that works, or has done so"
