"""Start or join Ray, and check that a job fits before it is submitted."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusters.cluster import Cluster, load_cluster
from orchestrator.config.settings import Settings
from workloads.errors import ClusterError, ResourceError

_TOKEN = Path.home() / ".ray" / "auth_token"


@contextmanager
def connect(settings: Settings) -> Iterator[None]:
    """Ray for the time of a job. Joins a Ray that this process has started already.

    Raises:
        ClusterError: Ray does not start.
    """
    _environment(settings)
    import ray

    if ray.is_initialized():
        yield
        return
    _start(load_cluster(settings.cluster))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)  # Ray's own handler ends with a C++ trace
    try:
        yield
    finally:
        ray.shutdown()


def _terminate(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def require(workers: int, cpus: float, gpus: float, what: str) -> None:
    """Refuse a job that can never be scheduled: Ray would wait for ever without a word.

    Raises:
        ResourceError: the cluster is smaller than `workers` times (`cpus`, `gpus`).
    """
    import ray

    total = ray.cluster_resources()
    where = what if what == "serving" else f"resources.{what}"
    for kind, each in (("CPU", cpus), ("GPU", gpus)):
        have = total.get(kind, 0.0)
        if workers * each > have:
            raise ResourceError(
                f"{what} needs {workers} x {each:g} {kind}, the cluster has {have:g}; "
                f"lower {where} in ray_config.yaml or use a larger cluster"
            )


def _environment(settings: Settings) -> None:
    """What Ray reads from the environment, set before it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Seconds between looks at the workers; also the least time between two reports.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    os.environ.setdefault(
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S",
        str(settings.resources.train.start_timeout_s),
    )
    # Relative paths in user settings are resolved by the driver; workers stay where they are.
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")


def _start(cluster: Cluster) -> None:
    import ray
    from ray.data import DataContext

    _ensure_token()
    # Ray's C++ side writes advice to the driver's stderr as errors; real ones are raised anyway.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        with _without_stderr():
            ray.init(
                address="local",
                num_cpus=cluster.cpus or max(2, os.cpu_count() or 1),
                num_gpus=cluster.gpus,
                object_store_memory=cluster.object_store_mb * 2**20,
                include_dashboard=cluster.dashboard,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
            )
    except (RuntimeError, ConnectionError, TimeoutError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise ClusterError(f"cluster '{cluster.name}': Ray does not start: {problem}") from error
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Ray's C++ side announces its log level on the descriptor itself, whatever the level."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _ensure_token() -> None:
    """Ray's token for its own traffic: made when missing, readable by its owner alone."""
    if os.environ.get("RAY_AUTH_MODE") != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    if not _TOKEN.exists():
        import secrets

        _TOKEN.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(_TOKEN, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
    _TOKEN.chmod(0o600)
