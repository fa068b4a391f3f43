"""Jobs on three hosts: what one host does, byte for byte."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Done, wsol
from netns import hosts
from ray_hosts import RayHosts, ray_over

from orchestrator.config.workspace import Workspace
from workloads.artifacts import read_manifest

RECIPE = "digits-spn-tiny"
SETTINGS: dict[str, Any] = {
    "resources": {
        "ingest": {"shard_mb": 0.05},
        "train": {"workers": 2},
        "annotate": {"chunk_images": 8},
        "evaluate": {"images_per_task": 4},
    },
    "data": {"digits": {"train": 96, "val": 24, "test": 24}},
    "train": {"epochs": 2},
    "tune": {"alphas": 3},
    "evaluate": {"metrics": {"thresholds": 100, "bootstrap": 20}},
    "pipeline": {"name": "small", "recipes": [RECIPE]},
}


@pytest.fixture(scope="module")
def three() -> Iterator[RayHosts]:
    with (
        hosts(3) as found,
        tempfile.TemporaryDirectory(prefix="wj-", dir="/tmp") as folder,
        ray_over(found, Path(folder)) as cluster,
    ):
        yield cluster


@pytest.fixture
def place(three: RayHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace that all hosts see, and the cluster of the settings."""
    cluster = three.describe(tmp_path / "three.yaml", tmp_path)
    values = {
        **SETTINGS,
        "cluster": str(cluster),
        "workspace": str(tmp_path / "far"),
        "tracking": {"uri": three.tracking},
    }
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(values))
    monkeypatch.setenv("WSOL_CONFIG", str(file))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_whole_pipeline_does_the_same_on_three_hosts_and_on_one(
    three: RayHosts, place: Path
) -> None:
    far = submit("--name", "far", "--wait", "--", "run").answer()
    assert far["state"] == "succeeded", wsol("jobs", "logs", "far").out
    hosts_used = {wsol("jobs", "logs", "far", "--rank", rank).out for rank in ("0", "1")}
    assert len(hosts_used) == 2
    here = {**SETTINGS, "cluster": "local", "workspace": str(place / "near")}
    (place / "here.yaml").write_text(yaml.safe_dump(here))
    assert wsol("--config", str(place / "here.yaml"), "run").code == 0
    assert made(place / "far") == made(place / "near")
    assert "transferred" not in json.dumps(far)


def made(workspace: Path) -> dict[str, Any]:
    """What decides and what was made: shards, weights, metrics, annotation."""
    paths = Workspace(workspace).pipeline("small")
    run = paths.run(RECIPE)
    (shards,) = (workspace / "shards").iterdir()
    metrics = json.loads(run.metrics("test").read_text())
    return {
        "shards": read_manifest(shards, "shards")["files"],
        "model": read_manifest(run.tuned_model, "model")["files"],
        "metrics": {name: m["value"] for name, m in metrics["metrics"].items()},
        "annotation": {
            file.name: file.read_bytes()
            for file in sorted(paths.annotations.iterdir())
            if file.name.startswith("annotations")
        },
    }


def submit(*words: str) -> Done:
    return wsol("submit", "-o", "json", *words)
