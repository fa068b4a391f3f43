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
    gateway = built._bound_deployment
    detector = gateway.init_kwargs["detectors"]._bound_deployment
    assert (gateway.name, gateway.num_replicas) == ("Gateway", 1)
    assert (detector.name, detector.num_replicas) == ("Detector", 3)
    (offer,) = detector.init_kwargs["offers"]
    assert (offer["folder"], offer["info"]["name"]) == (str(model), "model")
    grown = build({"model": str(model), "overrides": ["serve.replicas=[1, 4]"]})
    scaling = grown._bound_deployment.init_kwargs["detectors"]._bound_deployment
    config = scaling._deployment_config.autoscaling_config
    assert (config.min_replicas, config.max_replicas) == (1, 4)
    with pytest.raises(ConfigError, match="no API keys are set"):
        build({"model": str(model), "host": "0.0.0.0"})
    with pytest.raises(ConfigError, match="replica"):
        build({"model": str(model), "overrides": ["serve.replica=3"]})
    with pytest.raises(NotFound):
        build({"model": str(tmp_path / "gone")})
