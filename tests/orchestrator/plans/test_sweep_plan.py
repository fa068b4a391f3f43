"""A plan without Ray: what is trained, measured, kept after a kill and an edit, and refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from commands import wsol

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import SweepPaths, Workspace
from orchestrator.engine.claims import REQUEST
from orchestrator.evaluate import evaluate
from orchestrator.plans import prepare as prepare_module
from orchestrator.plans import spec as spec_module
from orchestrator.plans import sweep_plan as plan_module
from orchestrator.plans.prepare import prepare
from orchestrator.plans.spec import PlanSpec, plan_spec
from orchestrator.plans.sweep_plan import PlanResult, sweep_plan
from orchestrator.sweep.trials import Trial, Trials
from orchestrator.tracking.untracked import Untracked
from workloads.artifacts import read_json, write_json
from workloads.comparison.plan import Plan
from workloads.errors import ConfigError, Conflict, NotFound, WsolError
from workloads.models.model import Model
from workloads.recipes.load import load_recipe
from workloads.shards.shards import Shards

FEW = {"train": 32, "val": 8, "test": 8, "sizes": [[32, 32]], "heights": [12, 18]}
DRAWN = {"dataset": "digits", "options": FEW}
SPG, CAM = "digits-spg-tiny", "digits-cam-tiny"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    values = {
        "cluster": "inline",
        "workspace": tmp_path_factory.mktemp("workspace"),
        "sweep": {"max_failed": 1},
    }
    return Settings.parse(values, "test").resolved()


def values(shards: Shards | None = None, **changes: Any) -> dict[str, Any]:
    """A plan on shards that are there, or on equal ones that the project makes."""
    return {
        "seeds": [0, 1],
        "recipes": [CAM, SPG],
        "data": {"small": str(shards.folder) if shards else DRAWN},
        "budget": {"epochs": 2, "batch_size": 16, "image_size": 32, "validation_images": 4},
        "metrics": ["pointing", "gt_known", "classification_map"],
        "claims": [
            {"text": "SPG above CAM", "data": "small", "metric": "gt_known",
             "better": SPG, "than": CAM},
        ],
        **changes,
    }  # fmt: skip


def paths_of(settings: Settings, name: str) -> SweepPaths:
    return Workspace(settings.workspace).sweep(name)


def run(settings: Settings, plan: dict[str, Any], name: str, *, resume: bool = False) -> PlanResult:
    parsed, paths = Plan.parse(plan, "plan"), paths_of(settings, name)
    return sweep_plan(settings, parsed, paths, resume=resume, tracker=Untracked())


def spec_of(settings: Settings, plan: dict[str, Any], name: str) -> PlanSpec:
    parsed = Plan.parse(plan, "plan")
    return plan_spec(settings, parsed, prepare(settings, parsed, paths_of(settings, name).folder))


def trials_of(settings: Settings, plan: dict[str, Any], name: str) -> dict[int, Trial]:
    return Trials(spec_of(settings, plan, name).paths(paths_of(settings, name))).read()


@pytest.fixture(scope="module")
def whole(settings: Settings) -> PlanResult:
    return run(settings, values(), "whole")


@pytest.fixture(scope="module")
def shards(settings: Settings, whole: PlanResult) -> Shards:
    """The shards that were made for the whole."""
    spec = spec_of(settings, values(), "whole")
    return Shards.open(spec.job.works[CAM]["small"].spec.shards)


def test_values_are_those_of_each_model_on_the_test_split(
    settings: Settings, shards: Shards, whole: PlanResult
) -> None:
    """Scores and points need no cut-off, so `wsol evaluate` of each model has them, too."""
    assert (whole.finished, whole.failed) == (4, 0)
    paths = spec_of(settings, values(shards), "whole").paths(paths_of(settings, "whole"))
    for reading, row in zip((CAM, SPG), whole.table, strict=True):
        assert (row["data"], row["reading"], row["seeds"]) == ("small", reading, 2)
        models = [
            paths.trial(n).model
            for n, trial in Trials(paths).read().items()
            if trial.values["training"] == reading
        ]
        measured = [
            evaluate(settings, str(model), shards, "test", settings.evaluate).metrics
            for model in models
        ]
        for metric in ("classification_map", "pointing"):
            found = [one[metric]["value"] for one in measured]
            assert row[metric]["mean"] == pytest.approx(np.mean(found))
            assert row[metric]["deviation"] == pytest.approx(abs(found[0] - found[1]) / 2**0.5)


def test_what_is_kept_is_what_was_told(whole: PlanResult) -> None:
    kept = read_json(whole.folder / "sweep.json")
    assert kept["table"] == whole.table
    (claim,) = kept["claims"]
    assert (claim["text"], claim["seeds"]) == ("SPG above CAM", 2)
    page = whole.report.read_text()
    assert page.count("<svg") == 4  # three metrics, and learning curves
    assert page.count("<tr>") == 2 + 1 + 2  # a row for each training and claim, and their heads
    assert not re.search(r"(src|href)=.(https?:)?//", page)
    mean, deviation = (100 * whole.table[0]["pointing"][key] for key in ("mean", "deviation"))
    assert f"{mean:.1f} ± {deviation:.1f}" in page


def test_the_tracker_is_told_means(settings: Settings, shards: Shards, whole: PlanResult) -> None:
    told = spec_of(settings, values(shards), "whole").summary(
        trials_of(settings, values(shards), "whole")
    )
    assert told[f"small.{SPG}.gt_known"] == whole.table[1]["gt_known"]["mean"]
    assert len(told) == 6


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts cost as much as such a training."""
    monkeypatch.setattr(plan_module, "report_plan", lambda *_: None)


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("moment", ["in training", "in measuring"])
def test_killed_in_a_trial_and_continued_it_is_the_same(
    settings: Settings,
    shards: Shards,
    whole: PlanResult,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No trial depends on those beside it, so the whole has the same values."""
    name, plan = moment.replace(" ", "-"), values(shards, recipes=[CAM], claims=[])
    with monkeypatch.context() as patch:
        if moment == "in training":
            counted(patch, "orchestrator.train.worker", "log_epoch", kill=4)
        else:
            counted(patch, spec_module.__name__, "measure", kill=2)
        with pytest.raises(KeyboardInterrupt):
            run(settings, plan, name)
    assert [t.state for t in trials_of(settings, plan, name).values()] == ["finished", "begun"]
    assert not paths_of(settings, name).result.exists()
    with pytest.raises(Conflict, match="continue it with --resume"):
        run(settings, plan, name)
    assert run(settings, plan, name, resume=True).table == whole.table[:1]


def counted(patch: pytest.MonkeyPatch, module: str, name: str, kill: int = 0) -> list[Any]:
    """The calls of a function of a module, which still does its work.

    Args:
        kill: number of the call that stands for SIGKILL, before it has done anything.
    """
    import importlib

    owner = importlib.import_module(module)
    real: Callable[..., Any] = getattr(owner, name)
    calls: list[Any] = []

    def counting(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == kill:
            raise KeyboardInterrupt
        return real(*args, **options)

    patch.setattr(owner, name, counting)
    return calls


@pytest.mark.usefixtures("no_page")
def test_an_edited_plan_repeats_what_it_touches(
    settings: Settings, shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = values(shards, recipes=[CAM], seeds=[0], claims=[])
    first = run(settings, plan, "edited")
    with pytest.raises(Conflict, match=r"finished .* an edited plan: --resume"):
        run(settings, plan, "edited")
    epochs = counted(monkeypatch, "orchestrator.train.worker", "log_epoch")
    measured = counted(monkeypatch, spec_module.__name__, "measure")

    assert run(settings, plan, "edited", resume=True).table == first.table
    assert (len(epochs), len(measured)) == (0, 0)

    hurried = settings.model_copy(
        update={"sweep": settings.sweep.model_copy(update={"minutes": 1e-9})}
    )
    short = run(hurried, {**plan, "seeds": [0, 1]}, "edited", resume=True)
    assert (short.finished, short.left, len(epochs)) == (1, 1, 0)

    claim = {"text": "t", "data": "small", "metric": "gt_known", "better": CAM, "than": CAM}
    told = run(settings, {**plan, "claims": [claim]}, "edited", resume=True)
    assert (len(told.claims), len(epochs), len(measured)) == (1, 0, 0)

    read = {CAM: {"recipe": CAM, "readings": {"centre": {"method": "centre-point"}}}}
    more = run(settings, {**plan, "recipes": [], "trainings": read}, "edited", resume=True)
    assert [row["reading"] for row in more.table] == [CAM, "centre"]
    assert more.table[0] == first.table[0]
    assert (len(epochs), len(measured)) == (0, 2)

    longer = {**plan, "budget": {**plan["budget"], "epochs": 3}}
    run(settings, longer, "edited", resume=True)
    assert (len(epochs), len(measured)) == (3, 3)

    back = run(settings, plan, "edited", resume=True)
    assert back.table == first.table
    assert (len(epochs), len(measured)) == (3, 3)


def test_failed_trials_are_left_out_and_tried_again(
    settings: Settings, shards: Shards, whole: PlanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, real, fail = values(shards, recipes=[CAM], claims=[]), spec_module.train, {0}

    def failing(machine: Any, spec: Any, paths: Any, **options: Any) -> Any:
        if spec.recipe.train.seed in fail:
            raise WsolError("diverged")
        return real(machine, spec, paths, **options)

    monkeypatch.setattr(spec_module, "train", failing)
    found = run(settings, plan, "fails")
    assert (found.finished, found.failed) == (1, 1)
    assert (found.table[0]["seeds"], found.table[0]["gt_known"]["deviation"]) == (1, None)
    assert re.fullmatch(rf"{CAM}-small-0-\w+: diverged", found.errors[0])
    assert "diverged" in found.report.read_text()
    fail.add(1)
    longer = {**plan, "budget": {**plan["budget"], "epochs": 3}}
    with pytest.raises(WsolError, match="2 of 2 trials failed, at most 1 may"):
        run(settings, longer, "fails", resume=True)
    fail.clear()
    again = run(settings, plan, "fails", resume=True)
    assert (again.finished, again.failed, again.errors) == (2, 0, [])
    assert again.table == whole.table[:1]


def test_what_others_start_from_is_trained_first_and_once(
    settings: Settings, shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In miniature: on few images, for one epoch."""
    oquab, start = "digits-oquab-tiny", "digits-pretrain-tiny-fc"
    short = ("train.epochs=1", "train.image_size=32", "train.batch_size=16")
    monkeypatch.setattr(prepare_module, "load_recipe", lambda name: load_recipe(name, short))
    opened = prepare_module._shards
    monkeypatch.setattr(
        prepare_module, "_shards",
        lambda settings, data, name: shards if name == start else opened(settings, data, name),
    )  # fmt: skip
    trained = counted(monkeypatch, prepare_module.__name__, "train")
    epochs = counted(monkeypatch, "orchestrator.train.worker", "log_epoch")
    plan = values(shards, recipes=[oquab, CAM], claims=[])
    for _ in range(2):
        works = spec_of(settings, plan, "starts").job.works
    (first,) = works[oquab]["small"].spec.initial
    (shipped,) = works[CAM]["small"].spec.initial
    folder = paths_of(settings, "starts").folder / "starts"
    assert (first.part, first.path.parent.parent) == ("backbone", folder)
    assert Model.open_verified(first.path).digest == first.digest != shipped.digest
    assert (len(trained), len(epochs)) == (2, 1)


def test_what_is_wrong_is_said_before_anything_starts(
    settings: Settings, shards: Shards, tmp_path: Path
) -> None:
    def refused(kind: type[WsolError], said: str, **changes: Any) -> None:
        with pytest.raises(kind, match=said) as caught:
            run(settings, values(shards, claims=[], **changes), "refused")
        assert "\n" not in str(caught.value)

    refused(NotFound, r"data\.gone: .*nowhere", data={"gone": str(tmp_path / "nowhere")})
    refused(ConfigError, "digits-spg-tini: .*did you mean", recipes=["digits-spg-tini"])
    own = {"recipe": CAM, "initial": {"backbone": str(tmp_path / "weights")}}
    refused(NotFound, r"trainings\.t: .*weights", trainings={"t": own})
    own = {"recipe": CAM, "initial": {"bakbone": "random"}}
    refused(ConfigError, "did you mean 'backbone'", trainings={"t": own})
    ranks = tmp_path / "ranks.yaml"
    ranks.write_text(f"base: {CAM}\nevaluation: {{ranking: [digits-pretrain-tiny]}}\n")
    refused(ConfigError, "trainings.ranks: .*evaluation.ranking", recipes=[str(ranks)])
    other = settings.model_copy(
        update={"data": settings.data.model_copy(update={"test_split": "tset"})}
    )
    with pytest.raises(NotFound, match=r"data\.small: .*did you mean 'test'.*data\.test_split"):
        run(other, values(shards), "refused")
    assert not paths_of(settings, "refused").folder.exists()


def test_the_name_of_another_sweep_is_not_taken(settings: Settings, shards: Shards) -> None:
    write_json(paths_of(settings, "searched").folder / REQUEST, {"space": {}})
    with pytest.raises(Conflict, match="holds a plan's trials of another request"):
        run(settings, values(shards), "searched", resume=True)


def test_the_command_shows_and_refuses(settings: Settings, shards: Shards, tmp_path: Path) -> None:
    place = ("--set", f"workspace={settings.workspace}", "--set", "cluster=inline")
    made = {"dataset": "digits", "options": {"train": 32}}
    trainings = {
        name: {"recipe": f"digits-{name}-tiny", "data": ["made"]}
        for name in ("oquab", "saliency-aware")
    }
    plan = values(shards, data={"small": str(shards.folder), "made": made}, trainings=trainings)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(plan, sort_keys=False))
    shown = wsol("sweep", str(file), "--dry-run", "-o", "json", *place).answer()
    assert len(shown) == 2 * (2 * 2 + 2)
    assert shown[0] == {
        "training": CAM, "data": "small", "seed": 0, "recipe": CAM, "epochs": 2, "cpus": 1.0,
        "made before": "",
    }  # fmt: skip
    assert [row["made before"] for row in shown[4:6]] == [
        "data set digits, model of digits-pretrain-tiny-fc", "data set digits, object proposals"
    ]  # fmt: skip
    assert not paths_of(settings, "mine").folder.exists()
    assert "no such plan" in wsol("sweep", str(tmp_path / "none.yaml"), *place).said(4)
    file.write_text(yaml.safe_dump({**plan, "seedz": [1]}))
    assert "did you mean 'seeds'" in wsol("sweep", str(file), *place).said(2)
