"""Advice about errors of MLflow. Pure: MLflow is not imported."""

from __future__ import annotations

import re

GENERAL = "see that the tracking server runs, or set tracking.uri"
LOGIN = (
    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN) in the "
    "environment"
)
_LOGIN = re.compile(r"\b(error code|status code|HTTP|HTTPError:?) ?(401|403)\b|\b401 (Client|Unau)")
_OLD_SCHEMA = re.compile(r"out-of-date database schema")
_NEW_SCHEMA = re.compile(r"Can't locate revision|No such revision")


def restore_experiment(uri: str, name: str, experiment_id: str) -> str:
    """Advice about a deleted experiment, which MLflow neither uses nor lets make again."""
    return (
        f"experiment '{name}' was deleted; bring it back with: MLFLOW_TRACKING_URI='{uri}' mlflow "
        f"experiments restore --experiment-id {experiment_id}, or set tracking.experiment to "
        "another name"
    )


def upgrade_schema(uri: str) -> str:
    """Advice about a database of an older MLflow."""
    return (
        "the database was made by an older MLflow; make a copy of it, then run: "
        f"mlflow db upgrade '{uri}'"
    )


def newer_schema() -> str:
    """Advice about a database of a newer MLflow."""
    return "the database was made by a newer MLflow; use that version, or another tracking.uri"


def remedy(error: BaseException, uri: str) -> str | None:
    """Advice about an error that is not simply a server that does not answer; else None.

    Args:
        uri: of the server or database, as users may see it.
    """
    text = " ".join(str(cause) for cause in _chain(error))
    if _LOGIN.search(text):
        return LOGIN
    if _OLD_SCHEMA.search(text):
        return newer_schema() if _NEW_SCHEMA.search(text) else upgrade_schema(uri)
    return newer_schema() if _NEW_SCHEMA.search(text) else None


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
