"""What a user is told to do, by the words of MLflow's errors."""

from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException

from orchestrator.tracking.mlflow_store import problem_of
from orchestrator.tracking.remedies import remedy
from workloads.errors import ConfigError

OLD = (
    "Detected out-of-date database schema (found version 1, but expected 2). Take a backup of your "
    "database, then run 'mlflow db upgrade <database_uri>' to migrate your database"
)
UNAUTHORIZED = (
    "API request to endpoint /api/2.0/mlflow/experiments/get-by-name failed with error code 401 "
    "!= 200. Response body: 'You are not authenticated.'"
)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (UNAUTHORIZED, "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ("401 Client Error: UNAUTHORIZED for url: http://x", "MLFLOW_TRACKING_TOKEN"),
        (OLD, "mlflow db upgrade 'sqlite:///a.db'"),
        ("Can't locate revision identified by 'abc'", "made by a newer MLflow"),
    ],
)
def test_what_is_known_is_said_behind_the_error(text, advice):
    error = MlflowException(text)
    assert advice in (remedy(error, "sqlite:///a.db") or "")
    assert problem_of(error, "sqlite:///a.db").endswith(remedy(error, "sqlite:///a.db") or "-")


def test_the_cause_counts_too():
    error = MlflowException("request failed")
    error.__cause__ = ValueError("401 Client Error")
    assert "MLFLOW_TRACKING_USERNAME" in (remedy(error, "x") or "")


@pytest.mark.parametrize("text", ["Connection refused", "run 401 is gone", "HTTP 500", ""])
def test_of_others_nothing_is_made_up(text):
    assert remedy(MlflowException(text), "x") is None


def test_our_own_errors_say_it_themselves():
    assert problem_of(ConfigError("do this"), "x") == "do this"
