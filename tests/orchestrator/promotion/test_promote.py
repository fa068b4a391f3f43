"""A candidate against the champion: what moves the alias, what is kept, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import wsol
from made_shards import made_record, made_truth, write_shards
from mlflow import MlflowClient
from samples import CLASSES, make_model

from orchestrator.config.settings import Settings
from orchestrator.promotion.evidence import evidence_text
from orchestrator.promotion.promote import PROMOTION_TAG, Decision, PromotionResult, promote
from orchestrator.tracking.mlflow_store import MlflowStore
from orchestrator.tracking.registry import alias_version, fetch_model, register, set_champion
from workloads.errors import ConfigError, NotFound
from workloads.models.model import Model
from workloads.shards.shards import Shards

IMAGES = 24


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Images in which the first class fills the whole frame."""
    records = [
        made_record(
            f"i{index}",
            made_truth((0, (0, 0, 48, 32))),
            (48, 32),
            "val",
        )
        for index in range(IMAGES)
    ]
    return Shards.open(write_shards(tmp_path_factory.mktemp("s") / "shards", records, CLASSES))


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose boxes are far too small."""
    return _model(tmp_path_factory.mktemp("tight"), cutoff=0.999)


@pytest.fixture(scope="module")
def wide(tight: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The same weights; a box is the whole image."""
    return tight.retuned(tmp_path_factory.mktemp("wide") / "model", {"cutoff": 0.0})


def _model(folder: Path, cutoff: float) -> Model:
    plain = Model.open(make_model(folder / "plain", seed=1))
    return plain.retuned(folder / "model", {"cutoff": cutoff, "score_threshold": 0.0})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for the module; each test registers under a name of its own."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("_", "-")


@pytest.fixture
def settings(workspace: Path, name: str) -> Settings:
    values = {
        "cluster": "inline",
        "workspace": workspace,
        "registry": {"model": name},
        "evaluate": {"stored_maps": 3, "metrics": {"bootstrap": 50}},
    }
    return Settings.parse(values, "test").resolved()


def decide(settings: Settings, given: object, shards: Shards, **options: bool) -> PromotionResult:
    return promote(settings, str(given), shards, "val", "gt_known", **options)


def tag(settings: Settings, version: int) -> dict:
    client = MlflowClient(MlflowStore(settings).uri)
    return json.loads(
        client.get_model_version(settings.registry.model, str(version)).tags[PROMOTION_TAG]
    )


def champion(settings: Settings) -> str | None:
    found = alias_version(settings, settings.registry.model, "champion")
    return found and found.reference


def test_the_first_then_a_better_one_then_no_worse_one(
    settings: Settings, name: str, shards: Shards, tight: Model, wide: Model
) -> None:
    first = decide(settings, tight.folder, shards)
    assert (first.decision, first.moved, first.champion) == (Decision.FIRST, True, None)
    assert champion(settings) == first.candidate == f"{name}/1"
    assert tag(settings, 1)["decision"] == "first"

    better = decide(settings, wide.folder, shards)
    assert (better.decision, better.moved) == (Decision.BETTER, True)
    assert (better.champion, champion(settings)) == (f"{name}/1", f"{name}/2")
    found = tag(settings, 2)
    assert (found["decision"], found["champion"], found["images"]) == (
        "better",
        f"{name}/1",
        24,
    )
    assert found["shards"] == shards.digest
    gained = found["metrics"]["gt_known"]
    assert gained["champion"] == 0
    assert gained["candidate"] == gained["difference"] == 1
    assert gained["interval"] == [1, 1]
    assert gained["per_class"] == {"disc": {"champion": 0, "candidate": 1, "difference": 1}}
    assert found["metrics"]["classification_map"]["difference"] == 0  # the same scores

    same = decide(settings, f"{name}@champion", shards)
    assert (same.decision, same.moved, same.evidence) == (Decision.SAME, False, None)

    worse = decide(settings, f"{name}/1", shards)
    assert (worse.decision, worse.moved) == (Decision.NOT_BETTER, False)
    assert champion(settings) == f"{name}/2"
    assert tag(settings, 1)["decision"] == "not better"

    forced = decide(settings, f"{name}/1", shards, force=True)
    assert (forced.decision, forced.moved) == (Decision.FORCED, True)
    assert champion(settings) == f"{name}/1"
    assert tag(settings, 1)["metrics"]["gt_known"]["interval"] == [-1, -1]


def test_a_dry_run_changes_nothing(
    settings: Settings, name: str, shards: Shards, tight: Model, wide: Model
) -> None:
    alone = decide(settings, tight.folder, shards, dry_run=True)
    assert (alone.decision, alone.moved) == (Decision.FIRST, False)
    assert champion(settings) is None
    version = register(settings, tight.folder, name, {})
    set_champion(settings, name, version.version, "champion")
    shown = decide(settings, wide.folder, shards, dry_run=True)
    assert (shown.decision, shown.moved, shown.candidate) == (
        Decision.BETTER,
        False,
        str(wide.folder),
    )
    assert champion(settings) == f"{name}/1"
    with pytest.raises(NotFound):
        fetch_model(settings, f"{name}/2")
    client = MlflowClient(MlflowStore(settings).uri)
    assert PROMOTION_TAG not in client.get_model_version(name, "1").tags


def test_the_command_shows_it_and_its_code_says_it(
    settings: Settings,
    name: str,
    shards: Shards,
    tight: Model,
    wide: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("--shards", str(shards.folder), "--metric", "gt_known")
    given += ("--set", "cluster=inline", "--set", f"workspace={settings.workspace}")
    given += ("--set", f"registry.model={name}", "--set", "evaluate.stored_maps=3")
    wsol("promote", str(wide.folder), *given).said(0)
    done = wsol("promote", str(tight.folder), *given, "--per-class")
    assert done.code == 5
    assert f"is not shown to be better than {name}/1" in done.err
    assert "gt_known -1.0000, interval -1.0000 to -1.0000 on 24 images" in done.err
    assert re.search(r"gt_known +disc +1.000 +0.000 +-1.000 ", done.out)
    assert not re.search(r"gt_known +bâr", done.out)  # no image has it


def test_what_cannot_be_compared_is_refused(
    settings: Settings, name: str, shards: Shards, tight: Model, tmp_path: Path
) -> None:
    decide(settings, tight.folder, shards)
    other = make_model(tmp_path / "other", seed=2)
    card = json.loads((other / "model.json").read_text())
    assert card["classes"] == list(CLASSES)
    for given, expected, error in (
        ("nowhere", "no run of that name, nor such a folder", NotFound),
        (f"{name}/9", "unknown version", NotFound),
    ):
        with pytest.raises(error, match=expected):
            decide(settings, given, shards)
    with pytest.raises(NotFound, match="split 'tset'"):
        promote(settings, str(other), shards, "tset", "gt_known")
    with pytest.raises(ConfigError, match="did you mean 'gt_known'"):
        promote(settings, str(other), shards, "val", "gt_knwon")
    with pytest.raises(ConfigError, match="metric object_energy has no case"):
        promote(settings, str(other), shards, "val", "object_energy")


def test_evidence_fits_into_a_tag() -> None:
    """The classes whose values differ most stay, those of the metric that decides first."""

    def classes(scale: float) -> dict[str, dict[str, float]]:
        return {f"class {k}": {"difference": scale * k} for k in range(300)}

    facts = {
        "metric": "a",
        "metrics": {"a": {"per_class": classes(1.0)}, "b": {"per_class": classes(-1.0)}},
    }
    found = json.loads(evidence_text(facts, 5_000))
    kept = {name: list(one["per_class"]) for name, one in found["metrics"].items()}
    assert kept["b"] == []
    assert kept["a"] == [f"class {k}" for k in range(300 - len(kept["a"]), 300)]
    assert len(kept["a"]) > 100
    assert found["classes_left_out"] == 600 - len(kept["a"])
    assert "classes_left_out" not in json.loads(evidence_text(facts, 10**6))
