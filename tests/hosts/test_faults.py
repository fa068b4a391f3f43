"""Faults on three hosts: trainings, sweeps and annotations end as those left in peace.

What each came to is printed as a row of docs/reliability.md: the fault, the seconds from it to the
end of the longest pause in the work, and what was done again.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import boto3
import faults
import pytest
import yaml
from commands import wsol
from faults import Scene, following
from netns import hosts
from ray_hosts import RayHosts, ray_over, until
from s3_endpoint import S3Endpoint, upload, with_environment
from samples import make_images, make_model

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import RunPaths, SweepPaths, Workspace
from orchestrator.data.make import make
from orchestrator.ingest import ingest
from orchestrator.jobs.record import Job, Jobs
from orchestrator.sweep.trials import Trials
from orchestrator.tracking.events import learning_curves, read_events
from orchestrator.tracking.mlflow_store import MlflowStore
from workloads.artifacts import read_manifest, sha256
from workloads.datasets.digit_options import DigitsOptions
from workloads.storage.addresses import is_address, place_of, shown

pytestmark = pytest.mark.long
Fault = Callable[[Scene], AbstractContextManager[None]]

EPOCHS, IMAGES, CHUNK = 90, 800, 4
EXPORTS = ("annotations.coco.json", "annotations.parquet", "quarantine.jsonl")
PATIENCE_S = "600"
TRAINING: dict[str, Fault] = {  # two of its workers in a row are what a verb bears
    "training worker killed": faults.worker_killed,
    "node of a worker: all processes killed": faults.node_killed,
    "node of a worker: its end announced 20 s before": faults.node_announced,
    "driver (the verb) killed": faults.verb_killed,
    "node of a worker: cable gone for 30 s": faults.node_cut_off,
    "node of a worker: cable and power gone": faults.node_gone,
    "keeper of the job killed": faults.keeper_killed,
    "head killed and started anew, jobs resume": faults.head_started_anew,
    "tracking server away for 30 s": faults.tracking_away,
}
ANNOTATION: dict[str, Fault] = {
    "node of an actor: all processes killed": faults.node_killed,
    "object storage away for 30 s": faults.storage_away,
}


@dataclass(frozen=True)
class Field:
    """The cluster, and where all of its hosts look.

    Attributes:
        shared: a folder with shards, images and a model.
        bucket: of the endpoint, with images and a model.
        peace: results of annotations left in peace.
    """

    ray: RayHosts
    storage: S3Endpoint
    shared: Path
    bucket: Path
    peace: dict[str, object]

    def run(self, job: Job) -> RunPaths:
        return Workspace(self.shared / "far").run(job.name)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Field]:
    with (
        hosts(3) as found,
        tempfile.TemporaryDirectory(prefix="wf-", dir="/tmp") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder, endpoint = Path(name), S3Endpoint(found.gateway)
        with_environment(endpoint, patch)  # the nodes are given it, too
        try:
            with ray_over(found, folder) as ray:
                field = Field(ray, endpoint, folder, endpoint.new_bucket(), {})
                fill(field)
                yield field
        finally:
            endpoint.stop()


def fill(field: Field) -> None:
    """Shards; images and a model, in the folder and in the bucket."""
    folder = field.shared
    here = Settings(cluster="inline", workspace=folder / "here").resolved()
    digits = DigitsOptions(train=256, val=16, test=16)
    raw = make(here, "digits", {"digits": digits}, folder / "raw").root
    ingest(here, "digits", raw, folder / "shards")
    make_images(folder / "images", IMAGES)
    make_model(folder / "model", seed=0)
    for name in ("images", "model"):
        upload(folder / name, field.bucket / name)


@pytest.fixture
def field(prepared: Field, monkeypatch: pytest.MonkeyPatch) -> Field:
    """The cluster, whole again after the fault before."""
    prepared.ray.heal()
    monkeypatch.setenv("WSOL_CONFIG", str(prepared.shared / "settings.yaml"))
    monkeypatch.chdir(prepared.shared)
    return prepared


def configure(field: Field, workspace: Path) -> Settings:
    """Settings of all commands, in this workspace."""
    values = {
        "cluster": str(field.ray.describe(field.shared / "three.yaml", field.shared)),
        "workspace": shown(workspace),
        "tracking": {"uri": field.ray.tracking},
        "resources": {"train": {"workers": 2}, "annotate": {"chunk_images": CHUNK}},
    }
    (field.shared / "settings.yaml").write_text(yaml.safe_dump(values))
    return Settings.parse(values, "test")


def submitted(workspace: Path, name: str, *words: str) -> Job:
    done = wsol("submit", "--name", name, "--retries", "3", "--", *words)
    assert done.code == 0, done.err
    return Jobs(Workspace(workspace).jobs).job(name)


def wait_for(job: Job) -> None:
    ended = wsol("jobs", "wait", job.name, "--timeout", PATIENCE_S, "-o", "json")
    said = wsol("jobs", "logs", job.name, "--tail", "30").out
    assert ended.code == 0, (ended, job.read().transitions, said)
    assert ended.answer()["state"] == "succeeded"


def test_a_training(field: Field) -> None:
    """One fault after another; each is over, and an epoch was trained, before the next strikes."""
    settings = configure(field, field.shared / "far")
    job = training(field, "war")
    scene, paths = Scene(field.ray, field.storage, job, []), field.run(job)
    with following(scene):
        for number, (fault, strike) in enumerate(TRAINING.items(), start=1):
            known = 2 * number
            until(lambda: len(learning_curves(paths.events)) >= known, f"epoch {known}")  # noqa: B023
            field.ray.heal()
            struck, before = time.time(), told(paths)
            with strike(scene):
                go_on(paths, len(before) + 3, fault)
            after = told(paths)
            seconds = until_it_went_on(struck, [when for when, _ in after])
            again = repeated(after) - repeated(before)
            show(fault, seconds, f"{again} whole epochs", job)
        assert scene.followers[-1].wait(600) == 0, job.read().transitions
    sent = logged(settings, job)
    if sent != EPOCHS:
        assert wsol("sync", str(paths.events)).code == 0
        assert logged(settings, job) == EPOCHS
    print(f"\nMLflow had {sent} of {EPOCHS} epochs before wsol sync")  # noqa: T201
    peace = training(field, "peace")
    wait_for(peace)
    assert weights(paths) == weights(field.run(peace))


def go_on(paths: RunPaths, reports: int, fault: str) -> None:
    until(lambda: len(told(paths)) >= reports, f"life after: {fault}", patience_s=400)


@pytest.mark.parametrize("fault", ANNOTATION)
def test_an_annotation(field: Field, fault: str) -> None:
    if "exports" not in field.peace:
        _, out = annotation(field, field.shared, "annotation in peace", wait=True)
        field.peace["exports"] = digests(out)
    away = ANNOTATION[fault] is faults.storage_away
    job, out = annotation(field, field.bucket if away else field.shared, fault)
    until(lambda: len(written(out)) >= 10, "ten parts")
    struck, before = time.time(), written(out)
    with ANNOTATION[fault](Scene(field.ray, field.storage, job, [])):
        wait_for(job)
    assert digests(out) == field.peace["exports"]
    after = written(out)
    again = CHUNK * sum(after[name] != when for name, when in before.items())
    seconds = until_it_went_on(struck, list(after.values()))
    show(fault, seconds, f"{again} images of finished parts", job)


def test_a_sweep(field: Field) -> None:
    """A node dies with the trials on it; they end as those of a sweep left in peace."""
    configure(field, field.shared / "far")
    fault = "node of a trial: all processes killed"
    job = sweep(field, fault)
    paths = Workspace(field.shared / "far").sweep(job.name)
    until(lambda: len(epochs_of(paths)) >= 2, "two epochs of trials")
    struck = time.time()
    with faults.node_killed(Scene(field.ray, field.storage, job, [])):
        wait_for(job)
    after = epochs_of(paths)
    again = len(after) - len({(number, epoch) for _, number, epoch in after})
    seconds = until_it_went_on(struck, sorted(when for when, _, _ in after))
    show(fault, seconds, f"{again} whole epochs", job)
    peace = sweep(field, "sweep in peace")
    wait_for(peace)
    assert outcome(paths) == outcome(Workspace(field.shared / "far").sweep(peace.name))


def sweep(field: Field, title: str) -> Job:
    """Six trials of a few epochs, as many at once as the three hosts have room for."""
    name = slug(title)
    words = ("tune", "digits-cam-tiny", "--shards", str(field.shared / "shards"), "--trials", "6")
    options = ("--name", name, "--initial", "random", "--recipe-set", "train.epochs=12")
    return submitted(field.shared / "far", name, *words, *options)


def epochs_of(paths: SweepPaths) -> list[tuple[float, int, int]]:
    """When each epoch of a trial was told of, the trial, and the epoch's number."""
    return [
        (when, number, epoch)
        for number in Trials(paths).read()
        if paths.trial(number).events.exists()
        for when, epoch in told(paths.trial(number))
    ]


def outcome(paths: SweepPaths) -> list[dict[str, object]]:
    trials = Trials(paths).read().values()
    assert {trial.state for trial in trials} == {"finished"}
    return [trial.model_dump(exclude={"seconds"}) for trial in trials]


def training(field: Field, title: str) -> Job:
    name = slug(title)
    words = ("train", "digits-cam-tiny", "--shards", str(field.shared / "shards"))
    options = ("--name", name, "--set", f"train.epochs={EPOCHS}")
    return submitted(field.shared / "far", name, *words, *options)


def annotation(field: Field, where: Path, title: str, *, wait: bool = False) -> tuple[Job, Path]:
    """The job of an annotation of what lies there, and its folder."""
    name, workspace = slug(title), where / "far"
    configure(field, workspace)
    out = where / "annotations" / name
    images, model = (shown(where / part) for part in ("images", "model"))
    words = ("annotate", images, "--model", model, "--out", shown(out))
    job = submitted(workspace, name, *words)
    if wait:
        wait_for(job)
    return job, out


def slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def weights(paths: RunPaths) -> object:
    return read_manifest(paths.model, "model")["files"]["weights.safetensors"]


def digests(out: Path) -> dict[str, str]:
    return {name: sha256(out / name) for name in EXPORTS}


def logged(settings: Settings, job: Job) -> int:
    """Epochs that MLflow has of the job's run."""
    run = job.read().tracking_run
    history = MlflowStore(settings).client.get_metric_history(run, "loss")
    return len({point.step for point in history})


def written(out: Path) -> dict[str, float]:
    """When each part of an annotation was written."""
    if not is_address(out):
        return {part.name: part.stat().st_mtime for part in (out / "parts").rglob("part-*")}
    place, pages = place_of(out), boto3.client("s3").get_paginator("list_objects_v2")
    listed = pages.paginate(Bucket=place.bucket, Prefix=f"{place.key}/parts/")
    return {
        item["Key"]: item["LastModified"].timestamp()
        for page in listed
        for item in page.get("Contents", ())
    }


def until_it_went_on(struck: float, done: Sequence[float]) -> float:
    """Seconds from a fault to the end of the longest time in which nothing got done."""
    times = [struck, *sorted(time for time in done if time > struck)]
    _, end = max(pairwise(times), key=lambda pair: pair[1] - pair[0])
    return end - struck


def repeated(told: Sequence[tuple[float, int]]) -> int:
    """Epochs that were told of before."""
    return len(told) - len({epoch for _, epoch in told})


def show(fault: str, seconds: float, again: str, job: Job) -> None:
    record = job.read()
    starts = f"{record.attempt} starts of the verb, {len(record.submissions)} submissions so far"
    print(f"\n| {fault} | {seconds:.0f} | {again} | {starts} |", file=sys.stderr)  # noqa: T201


def told(paths: RunPaths) -> list[tuple[float, int]]:
    """When each epoch was told of, and its number."""
    epochs = [event for event in read_events(paths.events) if "epoch" in event]
    return [(event["time_ms"] / 1000, event["epoch"]) for event in epochs]
