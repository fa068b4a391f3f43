"""Places that only this machine can see: refused before submission, not found missing at night."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clusters.base import Cluster
from orchestrator.config.settings import Settings
from orchestrator.jobs.command import Command
from workloads.errors import ConfigError
from workloads.storage.addresses import is_address

_THIS_MACHINE = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 - compared, not bound


def check_sight(command: Command, cluster: Cluster) -> None:
    """Refuse places and servers that only the submitting machine can reach.

    Raises:
        ConfigError: one is named, and what to do.
    """
    check_tracking(command.settings, cluster)
    if cluster.same_machine:
        return
    settings = command.settings
    places = {"workspace": settings.workspace}
    if settings.data.root is not None:
        places["data.root"] = settings.data.root
    if settings.annotate.folder is not None and command.verb == "run":
        places["annotate.folder"] = settings.annotate.folder
    if settings.evaluate.metrics.difficult_pairs is not None:
        places["evaluate.metrics.difficult_pairs"] = settings.evaluate.metrics.difficult_pairs
    if command.verb in ("ingest", "run"):
        places |= _files_of_options(settings.ingest.options)
    places |= command.places
    for what, path in places.items():
        if not is_seen(path, cluster):
            where = ", ".join(cluster.shared) or "none is named in its description"
            raise ConfigError(
                f"{what}: only this machine can see {path}; cluster '{cluster.name}' sees "
                f"object storage (s3://, gs://) and its shared folders ({where})"
            )


def is_seen(path: Path, cluster: Cluster) -> bool:
    """Whether every node of a cluster finds the same thing there."""
    if cluster.same_machine or is_address(path):
        return True
    there = path.expanduser().absolute()
    return any(there.is_relative_to(Path(shared)) for shared in cluster.shared)


def _files_of_options(options: Mapping[str, Any]) -> dict[str, Path]:
    """Options of a layout that name a file or folder of this machine."""
    return {
        f"ingest.options.{name}": Path(value)
        for name, value in options.items()
        if isinstance(value, str) and "/" in value and Path(value).expanduser().exists()
    }


def check_tracking(settings: Settings, cluster: Cluster) -> None:
    """Refuse a tracker that a job could not write to, or whose password would be stored.

    Raises:
        ConfigError: a database file, or a loopback address, for a cluster elsewhere; a password.
    """
    uri = settings.tracking.uri
    parts = urlsplit(uri or "")
    if parts.password:
        raise ConfigError(
            "tracking.uri holds a password, which would stand in the job's record; leave it out "
            "and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD on the cluster's nodes"
        )
    if cluster.same_machine:
        return
    server = (
        "start one that the cluster reaches (mlflow server --host ADDRESS --port 5000 "
        "--backend-store-uri sqlite:////FOLDER/mlflow.db) and set tracking.uri to its address"
    )
    if uri is None or parts.scheme == "sqlite":
        raise ConfigError(
            f"tracking.uri: a SQLite file cannot track jobs of cluster '{cluster.name}'; {server}"
        )
    if parts.hostname in _THIS_MACHINE:
        raise ConfigError(
            f"tracking.uri {uri}: on cluster '{cluster.name}' that is another machine; {server}"
        )
