"""Every verb with its data, runs and results in object storage: the same results as in folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import commands
import pytest
from s3_endpoint import S3Endpoint, forget_buckets, upload
from samples import make_images, make_model, make_settings

from orchestrator.annotate.annotate import AnnotateResult, annotate
from orchestrator.config.settings import Evaluate, Settings, Tracking
from orchestrator.config.workspace import Workspace
from orchestrator.data.make import make
from orchestrator.evaluate import evaluate
from orchestrator.ingest import ingest
from orchestrator.tracking.events import learning_curves
from orchestrator.tracking.mlflow_store import MlflowStore
from orchestrator.train.spec import make_spec
from orchestrator.train.train import train
from workloads.artifacts import is_sealed, sha256
from workloads.datasets.digit_options import DigitsOptions
from workloads.errors import ConfigError
from workloads.shards.shards import Shards
from workloads.storage import buckets
from workloads.storage.addresses import shown
from workloads.storage.storage import storage_of
from workloads.training.meter import TIMINGS

EMBEDDED = {"digits": DigitsOptions(train=40, val=8, test=8)}
INITIAL = {"backbone": "random"}


def whole_journey(settings: Settings, place: Path) -> dict[str, Any]:
    """Raw data to annotated images; what names each result's content."""
    root = make(settings, "digits", EMBEDDED, place / "raw").root
    shards = Shards.open(ingest(settings, "digits", root, place / "shards").folder)
    spec = make_spec(
        settings, "digits-cam-tiny", shards, ("train", "val"), epochs=2, initial=INITIAL
    )
    run = Workspace(settings.workspace).run("a")
    trained = train(settings, spec, run)
    measured = evaluate(settings, str(trained.model), shards, "test", Evaluate(stored_maps=2))
    done = annotate(
        settings, root / "JPEGImages", str(trained.model), place / "annotated", formats=("coco",)
    )
    assert trained.tracking_run
    return {
        "shards": shards.digest,
        "model": trained.digest,
        "metrics": measured.metrics,
        "curves": [without_timings(row) for row in learning_curves(run.events)],
        "annotation": {name: sha256(path) for name, path in done.files.items()},
        "listed": done.listed,
        "boxes": done.boxes,
        "files": [found.relative_to(place) for found in listed_below(place)],
    }


def listed_below(place: Path) -> list[Path]:
    """What is left, without what is only in folders: hidden files, and the tracker's."""
    found = storage_of(place).files(place)
    names = (path.relative_to(place).parts for path in found)
    return [place.joinpath(*n) for n in names if not any(name.startswith(".") for name in n)]


def without_timings(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in TIMINGS}


def test_results_are_those_of_folders(bucket: Path, tmp_path: Path) -> None:
    tracking = Tracking(uri=f"sqlite:///{tmp_path}/mlflow.db", timeout_s=120)
    results = []
    for place in (tmp_path / "local", bucket):
        settings = Settings(cluster="inline", workspace=place / "workspace", tracking=tracking)
        results.append(whole_journey(settings, place))
    in_folders, in_bucket = results
    assert in_bucket == in_folders
    assert in_bucket["listed"] == 56


@pytest.fixture
def images(bucket: Path, tmp_path: Path) -> Path:
    """A collection in the bucket."""
    folder = make_images(tmp_path / "images", 60)
    return upload(folder, bucket / "images")


@pytest.fixture
def model(bucket: Path, tmp_path: Path) -> Path:
    return make_model(bucket / "model", seed=0)


@pytest.fixture
def in_peace(tmp_path: Path, images: Path, model: Path) -> dict[str, str]:
    """Exports of the same images and model in folders."""
    local = make_model(tmp_path / "model", seed=0)
    settings = make_settings(tmp_path / "workspace")
    return exported(annotate(settings, tmp_path / "images", str(local), tmp_path / "out"))


def exported(done: AnnotateResult) -> dict[str, str]:
    files = {**done.files, "quarantine": done.quarantine}
    return {name: sha256(path) for name, path in files.items()}


def parts_of(out: Path) -> int:
    return len(storage_of(out).files(out / "parts"))


@pytest.mark.long  # in CI in a folder, in tests/orchestrator/test_annotate.py
def test_an_annotation_that_is_killed_goes_on(
    bucket: Path, images: Path, model: Path, in_peace: dict[str, str], tmp_path: Path
) -> None:
    """SIGKILL after some parts; started again at once, it takes over and ends the same."""
    out, workspace = bucket / "out", bucket / "workspace"
    words = (
        *("annotate", shown(images), "--model", shown(model), "--out", shown(out), "-o", "json"),
        *("--set", "cluster=inline", "--set", f"workspace={shown(workspace)}"),
        *("--set", "resources.annotate.chunk_images=2"),
    )
    said = tmp_path / "said"
    killed = commands.start_wsol(*words, said=said)
    commands.wait_until(lambda: parts_of(out) >= 4, killed, said, every_s=0.2)
    killed.kill()
    killed.join()
    before = parts_of(out)
    assert 4 <= before < 30, "killed too late for this test"
    assert not is_sealed(out)
    answer = commands.wsol(*words).answer()
    assert answer["out"] == shown(out)
    assert answer["listed"] == 60
    files = {name: Path(path) for name, path in answer["files"].items()}
    files["quarantine"] = Path(answer["quarantine"])
    assert {name: sha256(path) for name, path in files.items()} == in_peace


def test_an_annotation_outlives_an_endpoint_that_is_away(
    s3_endpoint: S3Endpoint, bucket: Path, images: Path, model: Path, in_peace: dict[str, str]
) -> None:
    settings = make_settings(bucket / "workspace")
    with s3_endpoint.away(after_s=0.3, for_s=2.0) as gone:
        done = annotate(settings, images, str(model), bucket / "out")
    assert gone.is_set(), "it was done before the endpoint went away"
    assert exported(done) == in_peace


def test_an_endpoint_that_stays_away_ends_a_command_with_its_own_code(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(buckets, "PATIENCE_S", 0.5)
    forget_buckets()
    place = shown(bucket)
    done = commands.wsol(
        "ingest", "--root", f"{place}/raw", "--out", f"{place}/shards", "--dataset", "voc2007"
    )
    forget_buckets()
    assert f"{place}: no answer from object storage in 0 s" in done.said(8)


def test_tracking_there_asks_for_a_server(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(cluster="inline", workspace=bucket / "workspace")
    with pytest.raises(ConfigError, match=r"s3://.*: tracking needs a server.*mlflow server"):
        settings.check_tracking()
    with pytest.raises(ConfigError, match="tracking needs a server"):
        MlflowStore(settings)
    assert storage_of(bucket).files(bucket) == []
