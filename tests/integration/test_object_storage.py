"""Every verb with its data, runs and results in object storage: the same results as in folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.annotate import annotate
from orchestrator.config.settings import Evaluate, Settings, Tracking
from orchestrator.config.workspace import Workspace
from orchestrator.data.make import make
from orchestrator.evaluate import evaluate
from orchestrator.ingest import ingest
from orchestrator.tracking.events import learning_curves
from orchestrator.train.spec import make_spec
from orchestrator.train.train import train
from workloads.artifacts import sha256
from workloads.datasets.digit_options import DigitsOptions
from workloads.shards.shards import Shards
from workloads.storage import storage_of

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
        "curves": [without_speed(row) for row in learning_curves(run.events)],
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


def without_speed(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if "per_s" not in name}


def test_results_are_those_of_folders(bucket: Path, tmp_path: Path) -> None:
    tracking = Tracking(uri=f"sqlite:///{tmp_path}/mlflow.db", timeout_s=120)
    results = []
    for place in (tmp_path / "local", bucket):
        settings = Settings(cluster="inline", workspace=place / "workspace", tracking=tracking)
        results.append(whole_journey(settings, place))
    in_folders, in_bucket = results
    assert in_bucket == in_folders
    assert in_bucket["listed"] == 56
