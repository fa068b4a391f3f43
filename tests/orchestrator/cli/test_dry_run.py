"""`wsol submit --dry-run` for a cluster of each kind, none of which is up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Done, wsol

from clusters.cluster import cluster_names, load_cluster
from clusters.state import STATE_VARIABLE
from clusters.tunnel import free_port

MOST = {  # of the shipped examples, in CPUs and GPUs, worked out from their files by hand
    "aws": (8 + 4 * 192, 4 * 8),
    "gcp": (8 + 4 * 96, 4 * 8),
    "kubernetes": (8 + 4 * 48, 4 * 8),
    "slurm": (4 * 48, 4 * 8),
}
TRAIN = ("--", "train", "digits-cam-tiny", "--shards", "s3://bucket/shards")


@pytest.fixture(autouse=True)
def nothing_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no kubectl, no squeue
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret-of-ray")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-s3")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret-of-mlflow")
    monkeypatch.delenv("WSOL_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def described(kind: str, folder: Path, **changes: Any) -> str:
    """The shipped example of a kind under another name; the path of its file."""
    values = load_cluster(kind).model_dump(mode="json")
    file = folder / f"my-{kind}.yaml"
    file.write_text(yaml.safe_dump({**values, "name": f"my-{kind}", **changes}))
    return str(file)


def dry(cluster: str, *sets: str, words: tuple[str, ...] = TRAIN) -> Done:
    there = ("workspace=s3://bucket/wsol", "tracking.uri=http://tracker:5000", *sets)
    options = [word for one in there for word in ("--set", one)]
    return wsol("submit", "--dry-run", "--cluster", cluster, *options, *words)


@pytest.mark.parametrize("kind", ["hosts", *MOST])
def test_a_cluster_that_is_not_up_is_shown_what_it_would_be_asked(
    kind: str, tmp_path: Path
) -> None:
    done = dry(described(kind, tmp_path), "resources.train.workers=8")
    shown = json.loads(done.out)
    assert done.said(0).count("\n") == 1
    assert "shown is what would be asked of it" in done.err
    assert shown["needs"] == {"CPU": 8.0}
    assert (shown["has"], shown["address"]) == (None, None)
    assert shown["runtime_env"]["working_dir"]["bytes"] > 0
    assert shown["entrypoint"].startswith(
        "python -m orchestrator.jobs.keeper s3://bucket/wsol/jobs/"
    )
    assert "secret" not in done.out + done.err
    if kind in MOST:
        cpus, gpus = MOST[kind]
        assert shown["could_have"] == {"CPU": cpus, "GPU": gpus}


@pytest.mark.parametrize("kind", MOST)
@pytest.mark.parametrize("resource", ["CPU", "GPU"])
def test_what_can_never_fit_is_refused_with_both_numbers(
    kind: str, resource: str, tmp_path: Path
) -> None:
    most = dict(zip(("CPU", "GPU"), MOST[kind], strict=True))[resource]
    per_worker = {"CPU": "cpus_per_worker=1", "GPU": "gpus_per_worker=1"}[resource]
    sets = (f"resources.train.workers={most + 1}", f"resources.train.{per_worker}")
    small = () if resource == "CPU" else ("resources.train.cpus_per_worker=0.1",)
    said = dry(described(kind, tmp_path), *sets, *small).said(7)
    assert f"train needs {most + 1:g} {resource}, cluster 'my-{kind}' can grow to {most:g}" in said
    assert said.count("\n") == 1


def test_code_of_a_cluster_that_has_it_does_not_travel(tmp_path: Path) -> None:
    shown = json.loads(dry(described("slurm", tmp_path, has_code=True)).out)
    assert shown["runtime_env"] == {}


def test_every_kind_is_tried_here() -> None:
    elsewhere = {"inline", "joined", "local", "existing"}  # below
    assert {"hosts", *MOST} | elsewhere == set(cluster_names())


@pytest.mark.parametrize("name", ["inline", "joined"])
def test_what_takes_no_jobs_is_refused(name: str) -> None:
    assert dry(name).said(2).count("\n") == 1


def test_this_machine_is_shown_what_it_would_be_asked() -> None:
    shown = json.loads(dry("local").out)
    assert (shown["runtime_env"], shown["has"]) == ({}, None)
    assert shown["settings"]["cluster"] == "joined"


def test_an_address_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    """Whether it is up cannot be known."""
    address = f"http://127.0.0.1:{free_port()}"
    assert "does not answer" in dry(described("existing", tmp_path, address=address)).said(8)


@pytest.mark.parametrize(
    ("sets", "words", "code", "said"),
    [
        (("tracking.uri=http://me:secret@tracker",), TRAIN, 2, "tracking.uri holds a password"),
        (("tracking.uri=sqlite:////data/m.db",), TRAIN, 2, "a SQLite file cannot track"),
        (("workspace=/home/me/w",), TRAIN, 2, "workspace: only this machine can see /home/me/w"),
        (("resources.train.wrkers=2",), TRAIN, 2, "did you mean 'workers'"),
        ((), ("--", "train", "digits-cam-tny", "--shards", "s3://b/s"), 2, "did you mean"),
        (
            (),
            ("--", "train", "digits-cam-tiny", "--shards", "here"),
            2,
            "only this machine can see",
        ),
        ((), ("--", "tain"), 2, "No such command 'tain'"),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, sets: tuple[str, ...], words: tuple[str, ...], code: int, said: str
) -> None:
    done = dry(described("slurm", tmp_path), *sets, words=words)
    assert said in done.said(code)
    assert done.err.count("\n") == 1
    assert "secret" not in done.out + done.err
    assert done.out == ""


def test_a_plan_of_which_the_cluster_cannot_see_the_data_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("recipes: [digits-cam-tiny]\ndata: {there: 's3://bucket/s', here: shards}\n")
    words = ("--", "sweep", str(plan))
    assert f"only this machine can see {plan}" in dry(
        described("slurm", tmp_path), words=words
    ).said(2)
    shares = described("slurm", tmp_path, shared=[str(tmp_path)])
    assert dry(shares, words=words).said(0)
    plan.write_text("recipes: [digits-cam-tiny]\ndata: {here: /x}\n")
    assert "only this machine can see /x" in dry(shares, words=words).said(2)
