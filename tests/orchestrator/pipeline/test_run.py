"""`wsol run` before its first stage; whole pipelines are in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.settings import Settings
from orchestrator.pipeline.run import run
from orchestrator.pipeline.stages import Stages
from workloads.errors import NotFound


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
