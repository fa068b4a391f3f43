"""`wsol cluster`: answers and exit codes; nothing is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from commands import wsol

from clusters.cluster import cluster_names, load_cluster
from clusters.state import STATE_VARIABLE


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_list_has_every_shipped_cluster() -> None:
    rows = wsol("cluster", "list", "-o", "json").answer()
    assert [row["name"] for row in rows] == cluster_names()
    states = {row["name"]: row["state"] for row in rows if row["state"]}
    assert states == {"inline": "down", "joined": "down", "local": "down"}
    assert all(row["summary"] for row in rows)
    shown = wsol("cluster", "list")
    assert all(name in shown.out for name in cluster_names())


@pytest.mark.parametrize("name", cluster_names())
def test_a_manifest_is_printed_as_it_is(name: str) -> None:
    texts = load_cluster(name).manifest()
    assert wsol("cluster", "manifest", name, "-o", "json").answer() == texts
    done = wsol("cluster", "manifest", name)
    assert done.out == "".join(texts.values())
    assert bool(done.err) is not bool(texts)


def test_a_file_of_ones_own_and_the_cluster_of_the_settings(tmp_path: Path) -> None:
    values = {**load_cluster("aws").model_dump(mode="json"), "name": "mine"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    said = wsol("cluster", "manifest", "mine.yaml").out
    assert yaml.safe_load(said)["cluster_name"] == "mine"
    (tmp_path / "ray_config.yaml").write_text("cluster: mine.yaml\n")
    assert wsol("cluster", "manifest").out == said
    assert wsol("cluster", "manifest", "--set", "cluster=slurm").out != said
    status = wsol("cluster", "status", "-o", "json").answer(8)
    assert (status["name"], status["state"]) == ("mine", "down")
    assert status["reason"].endswith("wsol cluster up mine.yaml")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["status", "locl"], 2, "unknown cluster 'locl'; did you mean 'local'"),
        (["status", "gone.yaml"], 4, "gone.yaml: no such file of a cluster"),
        (["up", "existing"], 2, "not ours to start"),
        (["down", "existing"], 2, "not ours to end"),
        (["up", "slurm"], 8, "no command 'sbatch' on this machine"),
        (["up", "kubernetes"], 8, "no command 'kubectl' on this machine"),
        (["down", "local"], 0, "cluster 'local' is down already"),
        (["down", "aws"], 0, "was not started from here, or is down already"),
        (["up", "inline"], 0, "there is nothing to start"),
    ],
)
def test_every_end_has_its_code_and_one_line(words: list[str], code: int, said: str) -> None:
    done = wsol("cluster", *words)
    assert said in done.said(code)
    assert done.err.count("\n") == 1


def test_nothing_is_remembered_of_what_was_not_started(tmp_path: Path) -> None:
    for name in cluster_names():
        wsol("cluster", "status", name)
    assert not [p for p in (tmp_path / "state").rglob("*") if p.is_file()]
    assert json.loads(wsol("cluster", "status", "local", "-o", "json").out)["state"] == "down"
