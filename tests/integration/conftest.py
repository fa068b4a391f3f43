"""What integration tests share: one Ray for the session, a small model, settings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import wsol
from samples import make_model, make_settings

from clusters.state import STATE_VARIABLE, read_state, state_folder
from orchestrator.config.settings import Settings


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors in our code; what Ray says about its own code is its own affair."""
    config.addinivalue_line("filterwarnings", r"ignore:::ray\.")


@pytest.fixture(scope="session")
def standing_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`wsol cluster up local`, once for all tests; the address that a driver joins it by."""
    folder = tmp_path_factory.mktemp("standing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(folder / "state"))
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(folder / "token"))
        patch.delenv("RAY_AUTH_TOKEN", raising=False)
        assert wsol("cluster", "up", "local").code == 0
        try:
            yield _address()
        finally:
            wsol("cluster", "down", "local")


def _address() -> str:
    state = read_state(state_folder("local") / "local.json")
    assert state is not None
    file = Path(str(state["temporary"])) / "ray_current_cluster"
    until = time.monotonic() + 60  # Ray writes it a moment after its dashboard answers
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    return file.read_text().strip()


@pytest.fixture(scope="module")
def ray_cluster(standing_ray: str) -> Iterator[None]:
    """The standing Ray, joined by this process; `connect` joins it, too, and starts none."""
    import ray
    from ray.data import DataContext

    ray.init(address=standing_ray, log_to_driver=False)
    DataContext.get_current().enable_progress_bars = False
    DataContext.get_current().print_on_execution_start = False
    yield
    ray.shutdown()


@pytest.fixture
def joined(standing_ray: str, ray_cluster: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The cluster of a command in a process of its own that joins the standing Ray."""
    monkeypatch.setenv("RAY_ADDRESS", standing_ray)
    return "joined"


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A model version with random weights, whose thresholds let through several boxes."""
    return make_model(tmp_path_factory.mktemp("models") / "model", seed=0)


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Settings for Ray: an empty workspace, small units of work and a free port."""
    return make_settings(tmp_path / "workspace", "local")
