"""A sweep without Ray: what is tried, judged, kept after a kill, and refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import wsol
from made_shards import made_record, write_shards

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import SweepPaths, Workspace
from orchestrator.data.make import make
from orchestrator.ingest import ingest
from orchestrator.sweep import trial as trial_module
from orchestrator.sweep.recipe_of import recipe_of
from orchestrator.sweep.spec import make_sweep
from orchestrator.sweep.sweep import SweepResult, sweep
from orchestrator.sweep.trial import resources_of
from orchestrator.sweep.trials import Trials
from orchestrator.tracking.mlflow_store import MlflowStore
from workloads.artifacts import read_json
from workloads.datasets.digit_options import DigitsOptions
from workloads.errors import ConfigError, Conflict, ResourceError, WsolError
from workloads.models.model import Model
from workloads.recipes.load import load_recipe
from workloads.records import GroundTruth
from workloads.search.sweep_options import SweepOptions
from workloads.shards.shards import Shards

TINY = {"digits": DigitsOptions(train=40, val=8, test=8)}
CHANGES = ("train.epochs=2", "train.validation_images=4", "train.image_size=32")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    values = {
        "cluster": "inline",
        "workspace": tmp_path_factory.mktemp("workspace"),
        "sweep": {"trials": 3, "max_failed": 1},
    }
    return Settings.parse(values, "test").resolved()


@pytest.fixture(scope="module")
def shards(settings: Settings) -> Shards:
    raw = make(settings, "digits", TINY, settings.workspace / "raw").root
    return Shards.open(ingest(settings, "digits", raw, settings.workspace / "shards").folder)


def run(
    settings: Settings, shards: Shards, name: str, *, resume: bool = False, **options: Any
) -> SweepResult:
    changed = settings.model_copy(update={"sweep": settings.sweep.model_copy(update=options)})
    recipe = load_recipe("digits-acol-tiny", CHANGES)
    spec, suggestions = make_sweep(changed, recipe, shards, only=["threshold", "learning_rate"])
    return sweep(changed, spec, suggestions, paths_of(settings, name), resume=resume)


def paths_of(settings: Settings, name: str) -> SweepPaths:
    return Workspace(settings.workspace).sweep(name)


def without_seconds(result: SweepResult) -> list[dict[str, Any]]:
    return [{k: v for k, v in trial.items() if k != "seconds"} for trial in result.trials]


@pytest.fixture(scope="module")
def whole(settings: Settings, shards: Shards) -> SweepResult:
    return run(settings, shards, "whole")


def test_the_recipe_is_tried_first_and_the_best_wins(
    settings: Settings, whole: SweepResult
) -> None:
    assert (whole.finished, whole.failed, whole.stopped, whole.start) == (3, 0, 0, 0)
    own = load_recipe("digits-acol-tiny")
    assert whole.trials[0]["values"]["learning_rate"] == own.train.learning_rate
    values = [trial["value"] for trial in whole.trials]
    assert whole.value == max(values)
    assert values[whole.best] == whole.value
    assert all(trial["value"] == trial["measured"]["box_f1"] for trial in whole.trials)
    assert len({trial["values"]["threshold"] for trial in whole.trials}) == 3
    assert Model.open_verified(whole.model).card.cutoffs.cutoff == pytest.approx(
        whole.trials[whole.best]["cutoffs"]["cutoff"]
    )


def test_the_best_and_the_recipe_are_measured_on_test_with_intervals(whole: SweepResult) -> None:
    assert set(whole.test) == {"0", str(whole.best)}
    for metrics in whole.test.values():
        low, high = metrics["classification_map"]["interval"]
        assert low <= metrics["classification_map"]["value"] <= high


def test_trials_are_children_of_the_sweep_in_mlflow(settings: Settings, whole: SweepResult) -> None:
    from mlflow import MlflowClient

    paths = paths_of(settings, "whole")
    store = MlflowStore(settings)
    parent = store.find_run(paths.tracking_uid())
    client = MlflowClient(store.uri)
    experiment = client.get_run(parent).info.experiment_id
    children = client.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{parent}'", order_by=["attributes.run_name"]
    )
    assert [child.data.metrics["box_f1"] for child in children] == pytest.approx(
        [trial["value"] for trial in whole.trials]
    )
    assert whole.version is not None
    name, version = whole.version.split("/")
    registered = client.get_model_version(name, version)
    assert registered.run_id == children[whole.best].info.run_id
    assert registered.tags["sweep"] == "whole"
    assert [float(child.data.params["threshold"]) for child in children] == pytest.approx(
        [trial["values"]["threshold"] for trial in whole.trials]
    )


@pytest.mark.parametrize("moment", ["in training", "before its record"])
def test_killed_in_a_trial_and_continued_it_is_the_same_sweep(
    settings: Settings,
    shards: Shards,
    whole: SweepResult,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = moment.replace(" ", "-")
    with monkeypatch.context() as patch:
        if moment == "in training":
            _killed_at(patch, "orchestrator.train.worker.log_epoch", call=4)
        else:
            _killed_at(patch, "orchestrator.sweep.trials.Trials.write", call=5)
        with pytest.raises(KeyboardInterrupt):
            run(settings, shards, name)
    assert len(Trials(paths_of(settings, name)).read()) < 4
    with pytest.raises(Conflict, match="continue it with --resume"):
        run(settings, shards, name)
    again = run(settings, shards, name, resume=True)
    assert without_seconds(again) == without_seconds(whole)
    digests = [Model.open(result.model).digest for result in (again, whole)]
    assert digests[0] == digests[1]


def _killed_at(patch: pytest.MonkeyPatch, target: str, call: int) -> None:
    """Stands for SIGKILL before a call has done anything."""
    module, _, name = target.rpartition(".")
    owner: Any = _resolved(module)
    real: Callable[..., Any] = getattr(owner, name)
    calls = []

    def killed(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **options)

    patch.setattr(owner, name, killed)


def _resolved(path: str) -> Any:
    import importlib

    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def test_a_finished_sweep_goes_on_with_more_trials_alone(
    settings: Settings, shards: Shards, whole: SweepResult
) -> None:
    with pytest.raises(Conflict, match="finished"):
        run(settings, shards, "whole")
    with pytest.raises(Conflict, match="holds a sweep of another request"):
        run(settings, shards, "whole", resume=True, seed=7)
    more = run(settings, shards, "whole", resume=True, trials=4)
    assert without_seconds(more)[:3] == without_seconds(whole)
    assert more.finished == 4


def test_failed_trials_are_kept_and_too_many_end_it(
    settings: Settings, shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trial_module.train

    def failing(machine: Any, spec: Any, paths: Any, **options: Any) -> Any:
        if int(paths.name) in (1, 2):
            raise WsolError("diverged")
        return real(machine, spec, paths, **options)

    monkeypatch.setattr(trial_module, "train", failing)
    result = run(settings, shards, "one-fails", trials=2)
    assert (result.finished, result.failed, result.best) == (1, 1, 0)
    assert result.trials[1]["error"] == "diverged"
    with pytest.raises(WsolError, match=r"2 of 3 trials failed, at most 1 may .*trial 1: diverged"):
        run(settings, shards, "many-fail", trials=5)
    assert not paths_of(settings, "many-fail").result.exists()


def test_bad_requests_are_one_line(settings: Settings, shards: Shards) -> None:
    with pytest.raises(ConfigError, match="a grid of 3 values each has 9 points"):
        run(settings, shards, "grid", search="grid")
    with pytest.raises(ConfigError, match="no single recipe"):
        recipe_of("oquab", "cub")
    assert recipe_of("spg", "digits").name == "digits-spg-tiny"
    with pytest.raises(ConfigError, match="did you mean 'digits-spg-tiny'"):
        recipe_of("digits-spg-tini", "digits")


def test_boxes_are_not_judged_where_there_are_none(settings: Settings, tmp_path: Path) -> None:
    records = [
        made_record(f"{split}-{i}", GroundTruth(labels=(i % 10,)), split=split)
        for split in ("train", "val")
        for i in range(10)
    ]
    folder = write_shards(tmp_path / "shards", records, [str(i) for i in range(10)])
    with pytest.raises(ConfigError, match="no image of split 'val' has a box, which box_f1 needs"):
        run(settings, Shards.open(folder), "no-boxes")


def test_commands_say_what_can_be_searched_and_what_is_wrong(tmp_path: Path) -> None:
    place = ("--set", f"workspace={tmp_path}", "--set", "cluster=inline")
    shown = wsol("tune", "spg", "--show-space", "--only", "*_low", "-o", "json", *place).answer()
    assert shown["training"]["parameters"]["b2_low"] == {
        "low": 0.005, "high": 0.4, "scale": "log", "integer": False
    }  # fmt: skip
    assert shown["training"]["parameters"]["b2_high"] == {
        "low": 0.5, "high": 0.5, "scale": "linear", "integer": False
    }  # fmt: skip
    assert "give --shards FOLDER" in wsol("tune", "spg", *place).said(2)
    made = make(Settings(cluster="inline"), "digits", TINY, tmp_path / "raw").root
    shards = ingest(Settings(cluster="inline"), "digits", made, tmp_path / "shards").folder
    sweep_of = ("tune", "spg", "--shards", str(shards), "--initial", "random", *place)
    said = wsol(*sweep_of, "--protocol", "wsol3").said(2)
    assert "did you mean 'wsol30'" in said
    said = wsol(*sweep_of, "--set", "sweep.search=tpee").said(2)
    assert "sweep.search" in said
    assert not (tmp_path / "sweeps").exists()


def test_requests_that_no_trial_could_meet_are_refused_at_once(
    settings: Settings, shards: Shards
) -> None:
    recipe = load_recipe("digits-cam-tiny", ("train.validation_images=0",))
    early = settings.model_copy(update={"sweep": SweepOptions(stop="asha")})
    with pytest.raises(ConfigError, match=r"train\.validation_images is 0"):
        make_sweep(early, recipe, shards)


def test_a_trial_takes_the_gpu_that_its_steps_need(settings: Settings, shards: Shards) -> None:
    recipe = load_recipe("digits-acol-tiny")
    for train, evaluate, needs in (
        (0, 0, {"cpu": 2}),
        (1, 0.5, {"cpu": 2, "gpu": 1}),
        (0, 0.5, {"cpu": 2, "gpu": 0.5}),
    ):
        resources = {
            "train": {"gpus_per_worker": train, "cpus_per_worker": 2},
            "evaluate": {"gpus_per_actor": evaluate},
        }
        values = {"workspace": settings.workspace, "resources": resources}
        spec, _ = make_sweep(Settings.parse(values, "test"), recipe, shards)
        assert resources_of(spec.job) == needs


def test_gpus_that_are_not_there_are_missed_before_anything_starts(
    settings: Settings, shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    values = {"cluster": "inline", "workspace": settings.workspace, "sweep": {"trials": 1},
              "resources": {"train": {"gpus_per_worker": 1}}}  # fmt: skip
    wanting = Settings.parse(values, "test")
    spec, suggestions = make_sweep(wanting, load_recipe("digits-acol-tiny", CHANGES), shards)
    with pytest.raises(ResourceError, match="train needs 1 GPU, this process sees 0"):
        sweep(wanting, spec, suggestions, paths_of(settings, "wanting"))


def test_the_protocol_is_thirty_random_trials_of_the_last_weights(
    settings: Settings, shards: Shards
) -> None:
    recipe = load_recipe("digits-cam-tiny", ("train.model=best",))
    spec, suggestions = make_sweep(settings, recipe, shards, protocol="wsol30")
    assert (spec.options.trials, spec.options.search) == (30, "random")
    assert spec.options.metric == "max_box_acc_v2"
    assert spec.job.spec.recipe.train.model == "last"
    assert spec.start is None
    first = suggestions.suggest(0, {})
    assert first is not None
    assert first["learning_rate"] != recipe.train.learning_rate


def test_the_result_is_kept_as_it_was_told(settings: Settings, whole: SweepResult) -> None:
    kept = read_json(Path(whole.folder) / "sweep.json")
    assert kept["value"] == whole.value
    assert kept["trials"][:3] == whole.trials
    page = whole.report.read_text()
    assert "cannot tell" in page or "too few" in page
    assert page.count("<svg") >= 4
    assert not re.search(r"(src|href)=.(https?:)?//", page)


def test_rules_of_a_space_are_searched_in_each_trial(settings: Settings, shards: Shards) -> None:
    recipe = load_recipe("digits-acol-tiny", CHANGES)
    changes = {"box_rule": ["largest", "all"], "nms_iou": 0.5, "cutoff": {"high": 0.5}}
    spec, _ = make_sweep(settings, recipe, shards, changes=changes)
    assert spec.job.search.rules == {"box_rule": ("largest", "all"), "nms_iou": (0.5,)}
    assert spec.job.search.cutoff_range == (0.05, 0.5)
    with pytest.raises(ConfigError, match="heat_above is tried by values, not in a range; list"):
        make_sweep(settings, recipe, shards, changes={"heat_above": {"low": 0, "high": 1}})
    with pytest.raises(ConfigError, match="search space: rules: box_rule: Input should be"):
        make_sweep(settings, recipe, shards, changes={"box_rule": ["biggest"]})


def test_floors_that_no_trial_reaches_end_the_sweep(settings: Settings, shards: Shards) -> None:
    with pytest.raises(WsolError, match=r"no trial reaches sweep\.at_least; trial 0 comes nearest"):
        run(settings, shards, "floors", trials=1, at_least={"classification_map": 1.0})
    trial = Trials(paths_of(settings, "floors")).read_one(0)
    short = 1.0 - trial.measured["classification_map"]
    assert trial.value == pytest.approx(-short)
