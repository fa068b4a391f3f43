"""A run's name is used once; continuing is asked for, and continuing what is finished is free."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import RunPaths
from orchestrator.engine.leases import lease
from orchestrator.tracking.events import EventLog
from orchestrator.train import train as module
from orchestrator.train.spec import TrainSpec, make_spec
from orchestrator.train.train import train
from workloads.artifacts import seal, write_json
from workloads.datasets.digit_options import SingleDigitsOptions
from workloads.datasets.digits import make_digits
from workloads.datasets.registry import open_dataset
from workloads.errors import Conflict, NotFound
from workloads.images.decode import ImageLimits
from workloads.recipes.shipped import shipped
from workloads.shards.shards import Shards
from workloads.shards.write import finish_shards, ingest_shard

RECIPE = "digits-pretrain-tiny"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    root = tmp_path_factory.mktemp("digits") / "tree"
    make_digits(root, SingleDigitsOptions(train=32, val=2, test=1))
    dataset = open_dataset("single-digits", root)
    out = tmp_path_factory.mktemp("shards")
    results = [
        ingest_shard(dataset, dataset.items(s), out / f"{s}-00000.parquet", ImageLimits())
        for s in dataset.splits()
    ]
    finish_shards(out, dataset, {s: len(dataset.items(s)) for s in dataset.splits()}, results)
    return Shards.open(out)


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Settings) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(module, "connect", refuse)


def spec_of(shards: Shards, **changes: object) -> TrainSpec:
    given = {"epochs": None, **changes}
    return make_spec(Settings(), RECIPE, shards, ("train", "val"), **given)


def started(folder: Path, shards: Shards) -> RunPaths:
    """A run that was started and then killed."""
    paths = RunPaths(folder / "run")
    with pytest.raises(AssertionError, match="Ray was started"):
        train(Settings(), spec_of(shards), paths)
    return paths


def finished(folder: Path, shards: Shards) -> RunPaths:
    paths = started(folder, shards)
    write_json(paths.model / "model.json", {})
    seal(paths.model, kind="model")
    EventLog(paths.events).append({"epoch": 1, "metrics": {"loss": 0.5}})
    return paths


def test_a_finished_name_is_refused(tmp_path: Path, shards: Shards) -> None:
    with pytest.raises(Conflict, match="is finished"):
        train(Settings(), spec_of(shards), finished(tmp_path, shards))


def test_continuing_a_finished_run_starts_nothing(tmp_path: Path, shards: Shards) -> None:
    # A pipeline that was killed between the model and the record of its stage comes here.
    result = train(Settings(), spec_of(shards), finished(tmp_path, shards), resume=True)
    assert result.metrics == {"epoch": 1, "loss": 0.5}


def test_an_unfinished_run_is_only_continued_when_asked(tmp_path: Path, shards: Shards) -> None:
    paths = started(tmp_path, shards)
    with pytest.raises(Conflict, match="--resume"):
        train(Settings(), spec_of(shards), paths)
    with pytest.raises(AssertionError, match="Ray was started"):
        train(Settings(), spec_of(shards), paths, resume=True)


def test_other_settings_are_refused_even_to_continue(tmp_path: Path, shards: Shards) -> None:
    for paths in (started(tmp_path / "a", shards), finished(tmp_path / "b", shards)):
        with pytest.raises(
            Conflict, match=r"recipe\.train\.epochs: \d+ -> 3\); choose another --name"
        ):
            train(Settings(), spec_of(shards, epochs=3), paths, resume=True)


def test_two_that_continue_one_run_are_one_too_many(tmp_path: Path, shards: Shards) -> None:
    paths = started(tmp_path, shards)
    with (
        lease(paths.folder, "train"),
        pytest.raises(Conflict, match="'wsol train' works there"),
    ):
        train(Settings(), spec_of(shards), paths, resume=True)


def test_weights_that_a_recipe_starts_from_are_shipped_or_given(
    tmp_path: Path, shards: Shards
) -> None:
    def spec(**given: object) -> TrainSpec:
        return make_spec(Settings(), "digits-cam-tiny", shards, ("train", "val"), **given)

    assert spec().initial[0].path == shipped("digits-pretrain-tiny")
    with pytest.raises(NotFound, match="no such weights file"):
        spec(initial={"backbone": str(tmp_path / "none")})


def test_shards_and_weights_may_move(tmp_path: Path, shards: Shards) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(shards.folder, moved)
    assert spec_of(Shards.open(moved)).shards != spec_of(shards).shards
    assert spec_of(Shards.open(moved)).identity() == spec_of(shards).identity()
