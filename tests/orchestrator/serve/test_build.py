"""The application that a configuration of Serve names; nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import make_model

from workloads.errors import ConfigError, NotFound


@pytest.mark.filterwarnings("ignore:::ray")
def test_a_model_and_settings_become_an_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.serve import Application

    from orchestrator.serve.ray_serve import build

    monkeypatch.chdir(tmp_path)
    model = make_model(tmp_path / "model", seed=0)
    built = build({"model": str(model), "overrides": ["serve.replicas=3"]})
    assert isinstance(built, Application)
    deployment = built._bound_deployment
    assert deployment.num_replicas == 3
    assert deployment.init_kwargs["model"] == str(model)
    assert deployment.init_kwargs["name"] == "model"
    with pytest.raises(ConfigError, match="replica"):
        build({"model": str(model), "overrides": ["serve.replica=3"]})
    with pytest.raises(NotFound):
        build({"model": str(tmp_path / "gone")})
