"""What the tests of tracking and of the registry share: one database in a folder of its own."""

from __future__ import annotations

import pytest

from orchestrator.config.settings import Settings, Tracking
from orchestrator.tracking.mlflow_store import MlflowStore


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One database for the module, in a folder whose name needs care."""
    folder = tmp_path_factory.mktemp("a workspace's 100% #1")
    return Settings(workspace=folder, tracking=Tracking(timeout_s=60))


@pytest.fixture(scope="module")
def store(settings: Settings) -> MlflowStore:
    return MlflowStore(settings)


@pytest.fixture
def uid(request: pytest.FixtureRequest) -> str:
    """A tag of the test's own, in letters that a query must quote."""
    return f'it\'s "{request.node.name}"\nin two lines'
