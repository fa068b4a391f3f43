"""A real job on a Ray that stays: queued, killed, continued, listed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml
from commands import Done, start_wsol, wsol

from clusters.cluster import load_cluster
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import Workspace
from orchestrator.data.make import make
from orchestrator.ingest import ingest
from orchestrator.jobs.logs import of_rank, sources
from orchestrator.jobs.record import Job, Jobs
from orchestrator.jobs.states import JobState
from orchestrator.tracking.mlflow_store import MlflowStore
from workloads.artifacts import read_manifest
from workloads.datasets.digit_options import DigitsOptions

PATIENCE_S = 240.0  # a slow machine takes a minute to start a training


@pytest.fixture
def standing(standing_ray: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of who submits to the Ray that stays."""
    settings = {
        "workspace": str(tmp_path / "workspace"),
        "resources": {"train": {"workers": 1}, "ingest": {"shard_mb": 0.05}},
    }
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("WSOL_CONFIG", str(file))
    return file


def until(seen: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < end, f"not seen: {what}"
        time.sleep(0.2)


def verbs_of(job: Job) -> list[psutil.Process]:
    """The verb that the keeper of a job runs."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "orchestrator.jobs.keeper" in words and str(job.folder) in words:
            found += process.children()
    return [child for child in found if "orchestrator.cli" in " ".join(child.cmdline())]


def test_a_job_outlives_its_submitter_and_its_driver(standing: Path, tmp_path: Path) -> None:
    place = Settings.parse(yaml.safe_load(standing.read_text()), "test")
    inline = place.model_copy(update={"cluster": "inline", "workspace": tmp_path / "here"})
    digits = DigitsOptions(train=64, val=8, test=8)
    raw = make(inline, "digits", {"digits": digits}, tmp_path / "raw").root
    shards = ingest(inline, "digits", raw, tmp_path / "shards").folder
    words = ("train", "digits-cam-tiny", "--shards", str(shards), "--epochs", "2", "--name", "x")
    job = Jobs(tmp_path / "workspace" / "jobs").job("night")

    # Killing `submit --follow` does not touch the job.
    said = tmp_path / "said"
    follower = start_wsol("submit", "--name", "night", "--follow", "--", *words, said=said)
    until(lambda: of_rank(0) in sources(job.logs), "a training worker")
    follower.kill()

    # Another job waits for the one slot, says so, and is stopped at once.
    assert submit("--name", "day", "--", *words).answer()["state"] == "waiting"
    status = wsol("jobs", "status", "day", "-o", "json").answer()
    assert status["waits_for"] == "waits for a job slot: 1 of 1 taken: night"
    assert wsol("jobs", "stop", "day", "-o", "json").answer()["state"] == "stopped"

    # Its driver is killed.
    for verb in verbs_of(job):
        os.kill(verb.pid, signal.SIGKILL)

    # Submitted as to other machines, the code is sent, and the same code once; no job starts.
    elsewhere = as_elsewhere(tmp_path)
    for name, sent in (("one", True), ("two", False)):
        answer = submit("--name", name, *elsewhere, "--", *words).answer()
        assert (answer["state"], answer["code_sent"]) == ("waiting", sent)
        assert wsol("jobs", "stop", name, "-o", "json").answer()["state"] == "stopped"
    (tmp_path / "wrong").write_text("not-the-token")
    wrong = as_elsewhere(tmp_path, token_path=str(tmp_path / "wrong"))
    assert "refuses this token" in submit("--name", "none", *wrong, "--", *words).said(8)

    # The job goes on from its last checkpoint.
    done = wsol("jobs", "wait", "night", "-o", "json").answer()
    assert (done["state"], done["attempts"]) == ("succeeded", 2)
    assert JobState.RETRYING in [t.state for t in job.read().transitions]

    # The result is that of the verb run here.
    assert (
        wsol("--set", "cluster=inline", "--set", f"workspace={inline.workspace}", *words).code == 0
    )
    models = [Workspace(w).run("x").model for w in (place.workspace, inline.workspace)]
    weights = [read_manifest(model, "model")["files"]["weights.safetensors"] for model in models]
    assert weights[0] == weights[1]

    # The tracked run has the job's name, and the record the run.
    store = MlflowStore(place)
    run = store.client.get_run(str(done["tracking_run"]))
    assert run.data.tags["wsol.job"] == "night"

    # All of it is kept.
    listed = {row["job"]: row["state"] for row in wsol("jobs", "list", "-o", "json").answer()}
    stopped = dict.fromkeys(("day", "one", "two"), "stopped")
    assert listed == {"night": "succeeded", **stopped}
    assert "epoch 2" in wsol("jobs", "logs", "night", "--rank", "0").out
    assert "maps and boxes" in wsol("jobs", "logs", "night").out


def as_elsewhere(folder: Path, **changes: str) -> tuple[str, ...]:
    """Options of a submission to the standing Ray as if it were of other machines."""
    address = load_cluster("local").submit_address()
    values = {
        "name": "elsewhere", "summary": "x", "kind": "existing", "address": address,
        "shared": [str(folder)], "python": sys.executable, **changes,
    }  # fmt: skip
    file = folder / "elsewhere.yaml"
    file.write_text(yaml.safe_dump(values))
    return ("--cluster", str(file), "--set", "tracking.uri=http://tracker:5000")


def submit(*words: str) -> Done:
    return wsol("submit", "-o", "json", *words)
