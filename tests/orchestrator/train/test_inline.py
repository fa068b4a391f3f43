"""A whole training without Ray, killed and continued, tuned twice, and measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import start_wsol, wait_until, wsol
from PIL import Image

from orchestrator.config.settings import Evaluate, Settings, Tune
from orchestrator.config.workspace import RunPaths, Workspace
from orchestrator.data.make import make
from orchestrator.engine.leases import lease
from orchestrator.evaluate import evaluate
from orchestrator.ingest import ingest
from orchestrator.tracking.events import learning_curves
from orchestrator.train import preview, worker
from orchestrator.train.spec import TrainSpec, make_spec
from orchestrator.train.train import train
from orchestrator.tune.tune import tune_run
from workloads.artifacts import read_manifest
from workloads.datasets.digit_options import DigitsOptions
from workloads.errors import Conflict
from workloads.models.model import Model
from workloads.shards.shards import Shards
from workloads.training.meter import TIMINGS

MEASURE = Evaluate(stored_maps=2)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(cluster="inline", workspace=tmp_path_factory.mktemp("workspace"))


def made(settings: Settings, out: Path, seed: int) -> Shards:
    embedded = {"digits": DigitsOptions(train=40, val=8, test=8, seed=seed)}
    root = make(settings, "digits", embedded, out / "raw").root
    return Shards.open(ingest(settings, "digits", root, out / "shards").folder)


@pytest.fixture(scope="module")
def shards(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return made(settings, tmp_path_factory.mktemp("data"), 0)


@pytest.fixture(scope="module")
def spec(settings: Settings, shards: Shards) -> TrainSpec:
    initial = {"backbone": "random"}
    return make_spec(
        settings, "digits-cam-tiny", shards, ("train", "val"), epochs=3, initial=initial
    )


@pytest.fixture(scope="module")
def run(settings: Settings, spec: TrainSpec) -> RunPaths:
    paths = Workspace(settings.workspace).run("whole")
    train(settings, spec, paths)
    return paths


def curve(paths: RunPaths) -> list[dict[str, float]]:
    rows = learning_curves(paths.events)
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]


def test_it_leaves_a_model_and_a_curve(run: RunPaths) -> None:
    assert [row["epoch"] for row in learning_curves(run.events)] == [1, 2, 3]
    assert Model.open_verified(run.model).card.classes[0] == "zero"


def test_it_leaves_a_picture_of_what_the_network_sees(run: RunPaths) -> None:
    with Image.open(run.preview) as picture:
        assert picture.format == "JPEG"
        width, height = picture.size
        colours = len(picture.convert("RGB").getcolors(2**24))
    assert width > preview.COLUMNS * preview.SIDE * 0.9
    assert height > 2 * preview.SIDE * 0.8
    assert colours > 1000


def test_a_picture_that_cannot_be_written_stops_nothing(
    settings: Settings, spec: TrainSpec, run: RunPaths
) -> None:
    paths = Workspace(settings.workspace).run("no picture")
    (paths.preview / "in the way").mkdir(parents=True)
    assert train(settings, spec, paths).digest == Model.open(run.model).digest


def test_killed_after_an_epoch_and_continued_it_is_the_same_model(
    settings: Settings, spec: TrainSpec, run: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Workspace(settings.workspace).run("killed")
    log = worker.log_epoch

    def killed(events: Path, metrics: dict[str, float]) -> None:
        log(events, metrics)
        if metrics["epoch"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(worker, "log_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings, spec, paths)
    monkeypatch.undo()
    with pytest.raises(Conflict, match="continue it with --resume"):
        train(settings, spec, paths)
    train(settings, spec, paths, resume=True)
    assert Model.open(paths.model).digest == Model.open(run.model).digest

    assert curve(paths) == curve(run)


def test_a_process_killed_in_the_middle_of_an_epoch_and_continued_it_is_the_same_model(
    settings: Settings, shards: Shards, run: RunPaths, tmp_path: Path
) -> None:
    words = (
        *("train", "digits-cam-tiny", "--shards", str(shards.folder), "--initial", "random"),
        *("--epochs", "3", "--name", "process", "--set", f"workspace={settings.workspace}"),
        *("--set", "cluster=inline", "--set", "resources.train.checkpoint_steps=1"),
    )
    paths, said = Workspace(settings.workspace).run("process"), tmp_path / "said"
    process = start_wsol(*words, said=said)
    wait_until(lambda: any(paths.checkpoints.glob("epoch-00001-*/manifest.json")), process, said)
    process.kill()
    process.join()
    assert wsol(*words, "--resume", "-o", "json").answer()["digest"] == Model.open(run.model).digest
    assert curve(paths) == curve(run)


def test_another_search_makes_its_own_maps(settings: Settings, run: RunPaths) -> None:
    first = tune_run(settings, run, Tune(alphas=2), MEASURE)
    again = tune_run(settings, run, Tune(alphas=2), MEASURE)
    assert again == first
    tune_run(settings, run, Tune(alphas=2, images=3), MEASURE)
    tune_run(settings, run, Tune(alphas=2), Evaluate(stored_maps=4))
    assert len(list((run.folder / "predictions").iterdir())) == 3


def test_two_searches_of_one_run_are_one_too_many(settings: Settings, run: RunPaths) -> None:
    with lease(run.folder, "tune"), pytest.raises(Conflict, match="'wsol tune' works there"):
        tune_run(settings, run, Tune(alphas=2), MEASURE)


def test_shards_of_one_name_and_other_content_do_not_collide(
    settings: Settings, run: RunPaths, shards: Shards, tmp_path: Path
) -> None:
    other = made(settings, tmp_path, seed=1)
    assert other.folder.name == shards.folder.name == "shards"
    results = [evaluate(settings, str(run.model), s, "test", MEASURE) for s in (shards, other)]
    assert [r.shards for r in results] == [shards.digest, other.digest]
    assert len({r.predictions for r in results}) == len({r.out for r in results}) == 2


def test_predictions_of_something_else_are_refused_in_the_verbs_words(
    settings: Settings, run: RunPaths, shards: Shards, tmp_path: Path
) -> None:
    place = tmp_path / "stored"
    model = str(run.model)
    evaluate(settings, model, shards, "test", MEASURE, tmp_path / "out", place)
    with pytest.raises(Conflict) as refused:
        evaluate(settings, model, shards, "val", MEASURE, tmp_path / "out", place)
    assert 'split: "test" -> "val"' in str(refused.value)
    assert "--predictions" in str(refused.value)
    assert "--out" not in str(refused.value)
    assert read_manifest(place, "predictions")["request"]["split"] == "test"


def test_the_boxes_of_the_picture_are_those_of_the_cards_cutoffs(
    run: RunPaths, spec: TrainSpec, tmp_path: Path
) -> None:
    network = Model.open(run.model).network()

    def drawn(**cutoffs: object) -> bytes:
        evaluation = spec.recipe.evaluation.model_copy(update={"cutoffs": cutoffs})
        recipe = spec.recipe.model_copy(update={"evaluation": evaluation})
        preview.Preview(spec.model_copy(update={"recipe": recipe}), tmp_path / "preview.jpg").draw(
            network
        )
        return (tmp_path / "preview.jpg").read_bytes()

    of_range = drawn(cutoff=0.3, relative_to="range")
    assert drawn(cutoff=0.3) == of_range
    assert drawn(cutoff=0.3, relative_to="max") != of_range
    assert drawn(cutoff=0.3, box_rule="all") != of_range
