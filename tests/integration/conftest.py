"""What integration tests share: one Ray for the session, a small model, settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import make_model, make_settings

from orchestrator.config.settings import Settings


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors in our code; what Ray says about its own code is its own affair."""
    config.addinivalue_line("filterwarnings", r"ignore:::ray\.")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray with four logical CPUs. `connect` joins it, so a verb does not start its own."""
    import ray
    from ray.data import DataContext

    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
    )
    DataContext.get_current().enable_progress_bars = False
    DataContext.get_current().print_on_execution_start = False
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A model version with random weights, whose thresholds let through several boxes."""
    return make_model(tmp_path_factory.mktemp("models") / "model", seed=0)


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Settings for Ray: an empty workspace, small units of work and a free port."""
    return make_settings(tmp_path / "workspace", "local")
