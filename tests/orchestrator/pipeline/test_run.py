"""`wsol run` before its first stage; whole pipelines are in tests/integration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config.settings import Settings, load_settings
from orchestrator.config.workspace import Workspace
from orchestrator.engine.claims import REQUEST, differences
from orchestrator.engine.leases import lease
from orchestrator.pipeline.run import _deciding, _free_name, run
from orchestrator.pipeline.stages import Stages
from workloads.artifacts import write_json
from workloads.errors import Conflict, NotFound


def test_missing_weights_are_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(Stages, "run", lambda *_: pytest.fail("a stage was begun"))
    settings = Settings(workspace=tmp_path / "workspace")
    recipes = ("digits-cam-tiny", "spn-t2-vgg16")
    pipeline = settings.pipeline.model_copy(update={"recipes": recipes})
    with pytest.raises(NotFound, match=r"vgg16-397923af\.pth"):
        run(settings.model_copy(update={"pipeline": pipeline}))


def test_a_fresh_start_of_a_running_pipeline_is_refused_and_loses_nothing(tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path, cluster="inline")
    folder = Workspace(tmp_path).pipeline("demo").folder
    write_json(folder / "precious.json", 1)
    write_json(folder / REQUEST, {})
    with lease(folder, "run"), pytest.raises(Conflict, match="'wsol run' works there"):
        run(settings, fresh=True)
    assert (folder / "precious.json").exists()


def test_the_engine_that_trains_otherwise_makes_another_pipeline() -> None:
    """Without Ray a training has one worker, which decides its result."""
    local, inline = (_deciding(Settings(cluster=name)) for name in ("local", "inline"))
    assert differences(local, inline) == ["resources.train.workers: 2 -> 1"]
    resources = {"train": {"workers": 1}}
    assert _deciding(Settings.model_validate({"resources": resources})) == inline


def test_a_pipeline_is_claimed_by_the_content_of_its_recipes(tmp_path: Path) -> None:
    def claimed(*recipes: str, changes: str = "[]") -> dict[str, Any]:
        chosen = f"pipeline.recipes={yaml.safe_dump(list(recipes), default_flow_style=True)}"
        return _deciding(load_settings(None, (chosen, f"pipeline.recipe_set={changes}")))

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.yaml").write_text("base: digits-cam-tiny")
    one, moved = str(tmp_path / "a/x.yaml"), str(tmp_path / "b/x.yaml")
    assert claimed(one) == claimed(moved)
    assert claimed("digits-cam-tiny")["pipeline"]["recipes"] == ["digits-cam-tiny"]
    longer = claimed(one, changes="[train.epochs=40]")
    assert longer != claimed(one)
    before = claimed(one)
    Path(one).write_text("base: digits-cam-tiny\ntrain: {epochs: 40}\n")
    assert claimed(one) != before
    assert claimed(one) == longer


def test_images_of_one_name_in_several_folders_all_get_a_file(tmp_path: Path) -> None:
    names = []
    for image_id in ("cat/1.png", "dog/1.png", "dog_1.png", "x/dog_1.png", "x_dog_1.png"):
        path = _free_name(tmp_path, image_id)
        path.write_bytes(b"")
        names.append(path.name)
    assert names == [
        "1.png.jpg", "dog_1.png.jpg", "dog_1.png-2.jpg", "x_dog_1.png.jpg", "x_dog_1.png-2.jpg",
    ]  # fmt: skip
