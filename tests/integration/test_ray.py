"""Ray does what one process does: the same shards, models, maps and boxes, byte for byte."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import start_wsol, wait_until, wsol
from killed_annotation import exports, kill_and_repeat
from samples import make_images, make_settings

from orchestrator.annotate.annotate import annotate
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import Workspace
from orchestrator.data.make import make
from orchestrator.evaluate import evaluate
from orchestrator.ingest import ingest
from orchestrator.proposals import propose
from orchestrator.train.spec import make_spec
from orchestrator.train.train import train
from workloads.artifacts import read_manifest
from workloads.datasets.digit_options import DigitsOptions
from workloads.shards.shards import Shards

SMALL = {
    "resources": {
        "ingest": {"shard_mb": 0.05},
        "train": {"workers": 1},
        "evaluate": {"images_per_task": 4, "actors": 1},
        "annotate": {"chunk_images": 4},
    },
    "evaluate": {"metrics": {"thresholds": 100, "bootstrap": 20}},
}
DIGITS = {"digits": DigitsOptions(train=48, val=12, test=12)}


@dataclass(frozen=True)
class Made:
    """What the verbs left in one workspace."""

    folder: Path
    digests: dict[str, str]
    files: dict[str, dict[str, str]]
    metrics: dict[str, object]


def all_verbs(cluster: str, folder: Path, root: Path) -> Made:
    settings = Settings.model_validate({**SMALL, "cluster": cluster, "workspace": folder})
    shards = Shards.open(ingest(settings, "digits", root, folder / "shards").folder)
    proposals = propose(settings, shards, settings.proposals, ["val"], folder / "proposals")
    spec = make_spec(
        settings, "digits-spn-tiny", shards, ("train", "val"),
        epochs=2, initial={"backbone": "random"},
    )  # fmt: skip
    model = train(settings, spec, Workspace(folder).run("run")).model
    measured = evaluate(
        settings, str(model), shards, "test", settings.evaluate,
        folder / "evaluation", folder / "predictions",
    )  # fmt: skip
    annotated = annotate(settings, root / "JPEGImages", str(model), folder / "annotation")
    folders = {
        "shards": shards.folder, "proposals": proposals.folder, "model": model,
        "predictions": measured.predictions, "annotation": annotated.out,
    }  # fmt: skip
    manifests = {name: read_manifest(place, name) for name, place in folders.items()}
    return Made(
        folder,
        {name: manifest["digest"] for name, manifest in manifests.items()},
        {name: manifest["files"] for name, manifest in manifests.items()},
        measured.metrics,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    settings = Settings(workspace=folder)
    return make(settings, "digits", DIGITS, folder / "raw").root


@pytest.fixture(scope="module")
def inline(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return all_verbs("inline", tmp_path_factory.mktemp("inline"), root)


@pytest.fixture(scope="module")
def on_ray(ray_cluster: None, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return all_verbs("local", tmp_path_factory.mktemp("ray"), root)


@pytest.mark.parametrize("kind", ["shards", "proposals", "model", "predictions"])
def test_the_same_content(inline: Made, on_ray: Made, kind: str) -> None:
    assert on_ray.digests[kind] == inline.digests[kind]
    assert on_ray.files[kind]


def test_the_same_annotation_but_for_its_place(inline: Made, on_ray: Made) -> None:
    def content(made: Made) -> dict[str, str]:
        return {k: v for k, v in made.files["annotation"].items() if not k.startswith("listing")}

    assert content(on_ray) == content(inline)
    assert exports(on_ray.folder / "annotation") == exports(inline.folder / "annotation")


def test_the_same_metrics_in_blocks_and_whole(inline: Made, on_ray: Made) -> None:
    assert json.dumps(on_ray.metrics, sort_keys=True) == json.dumps(inline.metrics, sort_keys=True)


@pytest.mark.long  # in CI in one process, in tests/orchestrator/test_annotate.py
def test_an_annotation_killed_on_ray_and_started_again(
    joined: str, model_folder: Path, tmp_path: Path
) -> None:
    """SIGKILL in the middle, then again: exports are those of a run that was left in peace."""
    folder = make_images(tmp_path / "images", 160)
    out, settings = tmp_path / "out", make_settings(tmp_path / "workspace", joined)
    done = kill_and_repeat(folder, model_folder, out, settings)
    assert 5 <= done < 80, "killed too late for this test"
    whole = annotate(
        make_settings(tmp_path / "other"), folder, str(model_folder), tmp_path / "peace"
    )
    assert exports(out) == exports(whole.out)


@pytest.fixture
def training(inline: Made, joined: str, tmp_path: Path) -> tuple[str, ...]:
    """The words of `wsol train` with two workers."""
    return (
        *("train", "digits-cam-tiny", "--name", "two", "--set", f"workspace={tmp_path}"),
        *("--shards", str(inline.folder / "shards"), "--initial", "random", "--epochs", "4"),
        *("--set", "resources.train.workers=2", "--set", f"cluster={joined}", "-o", "json"),
    )


@pytest.mark.long  # in CI a job's driver is killed, in test_jobs.py
def test_a_training_on_two_workers_killed_and_continued(
    training: tuple[str, ...], tmp_path: Path
) -> None:
    """Driver and all die by SIGKILL after an epoch; the continued run ends, on the same curve."""
    events, said = tmp_path / "runs/two/events.jsonl", tmp_path / "said"
    process = start_wsol(*training, said=said)
    wait_until(lambda: events.exists() and events.read_text().count("\n") >= 1, process, said)
    process.kill()
    process.join()
    before = [json.loads(line) for line in events.read_text().splitlines()]
    model = wsol(*training, "--resume").answer()["model"]
    after = [json.loads(line) for line in events.read_text().splitlines()]
    assert after[: len(before)] == before
    assert {event["epoch"] for event in after} == set(range(1, 5))
    read_manifest(Path(model), "model")
