"""What a test sees of tracking: what is in the database, and the log's warnings."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from orchestrator.config.settings import Settings
from orchestrator.tracking.mlflow_store import MlflowStore


def first_experiment(workspace: Path) -> str:
    """Id of the experiment in the database of a workspace, which is made if it is missing."""
    return MlflowStore(Settings(workspace=workspace)).experiment()


def history(store: MlflowStore, run_id: str | None, metric: str) -> list[tuple[int, float]]:
    """(step, value) of each point, in the order of the database."""
    return [(m.step, m.value) for m in store.client.get_metric_history(run_id, metric)]


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
