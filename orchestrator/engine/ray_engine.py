"""Ray: started or joined, and units of work through Ray Data."""

from __future__ import annotations

import logging
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clusters.joined import Joined
from clusters.local import Local
from orchestrator.config.settings import Machine, PoolResources
from orchestrator.engine.engine import Row
from orchestrator.engine.progress import say
from orchestrator.engine.signals import sigterm_at_the_end
from orchestrator.engine.surroundings import check_temporary_folder, token_file
from orchestrator.engine.worker_errors import plain_worker_errors
from workloads.errors import ClusterError, ResourceError, one_line


class RayEngine:
    """The Ray that this process is connected to; see `Engine`.

    Args:
        patience_s: time in which a node may come, or come back, before work is refused for which
            there are too few.
    """

    def __init__(self, patience_s: float = 0.0) -> None:
        self._patience_s = patience_s

    def require(self, workers: int, cpus: float, gpus: float, verb: str) -> None:
        """Ray itself would wait for ever, without a word."""
        give_up = time.monotonic() + self._patience_s
        while lacking := _lacking(workers, cpus, gpus):
            needed = f"{verb} needs {lacking}"
            if time.monotonic() >= give_up:
                where = verb if verb == "serve" else f"resources.{verb}"
                raise ResourceError(
                    f"{needed}; lower {where} in ray_config.yaml or use a larger cluster"
                )
            say(f"wsol: {needed}; waiting for nodes")
            time.sleep(min(self._patience_s, 5.0))

    def pool(
        self,
        units: Sequence[Row],
        worker: type,
        worker_options: Row,
        resources: PoolResources,
        verb: str,
    ) -> Iterator[Row]:
        """A Ray Data actor pool; it carries units, not images.

        With many units an actor is handed several at once: Ray Data takes 5 ms of this process
        for each hand-over, whatever is in it.
        """
        self.require(1, resources.cpus_per_actor, resources.gpus_per_actor, verb)
        for start in range(0, len(units), _UNITS_OF_A_DATASET):
            some = units[start : start + _UNITS_OF_A_DATASET]
            yield from self._pool(some, worker, worker_options, resources)

    def _pool(
        self, units: Sequence[Row], worker: type, worker_options: Row, resources: PoolResources
    ) -> Iterator[Row]:
        from ray.data import ActorPoolStrategy

        together = units_together(len(units), resources.actors)
        with plain_worker_errors():
            yield from (
                _dataset(units, together)
                .map(
                    worker,
                    fn_constructor_kwargs=worker_options,
                    compute=ActorPoolStrategy(size=min(resources.actors, len(units))),
                    num_cpus=resources.cpus_per_actor,
                    num_gpus=resources.gpus_per_actor or None,
                )
                .iter_rows()
            )

    def tasks(
        self, units: Sequence[Row], function: Callable[[Row], Row], cpus: float, verb: str
    ) -> Iterator[Row]:
        """Ray Data tasks, one for each unit."""
        if not units:
            return
        self.require(1, cpus, 0, verb)
        with plain_worker_errors():
            yield from _dataset(units).map(function, num_cpus=cpus).iter_rows()


def _lacking(workers: int, cpus: float, gpus: float) -> str:
    """The resource of which there is too little, with both numbers; empty if there is enough."""
    import ray

    total = ray.cluster_resources()
    for kind, each in (("CPU", cpus), ("GPU", gpus)):
        have = total.get(kind, 0.0)
        if workers * each > have:
            return f"{workers} x {each:g} {kind}, the cluster has {have:g}"
    return ""


_HAND_OVERS = 2_000  # are few enough for this process, and enough for work to be spread evenly
_MOST_TOGETHER = 16
_UNITS_OF_A_DATASET = 320_000  # Ray Data keeps about 10 kB in this process for each hand-over


def units_together(units: int, actors: int) -> int:
    """The number of units that an actor is handed at once."""
    each = units // max(_HAND_OVERS, 20 * actors)
    return min(max(each, 1), _MOST_TOGETHER)


def _dataset(units: Sequence[Row], together: int = 1) -> Any:
    import ray.data

    return ray.data.from_items(list(units), override_num_blocks=math.ceil(len(units) / together))


@contextmanager
def running_ray(machine: Machine, cluster: Local | Joined) -> Iterator[None]:
    """Ray for the time of the block. Joins one that this process has started already.

    Raises:
        ClusterError: Ray does not start, or there is none to join.
        ConfigError: the environment names a folder that Ray cannot use.
    """
    _environment(machine)
    import ray

    if ray.is_initialized():
        yield
        return
    if isinstance(cluster, Local):
        check_temporary_folder(process=os.getpid())
    try:
        with sigterm_at_the_end():
            _start(cluster)
        yield
    finally:
        ray.shutdown()


def _environment(machine: Machine) -> None:
    """Set what Ray reads from the environment, before it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Seconds between looks at the workers; also the least time between two reports.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    os.environ.setdefault(
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S",
        str(machine.resources.train.start_timeout_s),
    )
    # Relative paths in user settings are resolved by the driver; workers stay where they are.
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")


def _start(cluster: Local | Joined) -> None:
    import ray
    from ray.data import DataContext

    _ensure_token()
    # Ray's C++ side writes advice to the driver's stderr as errors; real ones are raised anyway.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        with _without_stderr():
            ray.init(
                **_of_kind(cluster),
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
            )
    except (RuntimeError, ConnectionError, TimeoutError, ValueError) as error:
        what = "does not start" if isinstance(cluster, Local) else "cannot be joined from here"
        problem = one_line(str(error))
        raise ClusterError(f"cluster '{cluster.name}': Ray {what}: {problem}") from error
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _of_kind(cluster: Local | Joined) -> dict[str, Any]:
    if isinstance(cluster, Joined):
        return {"address": "auto"}
    return {
        "address": "local",
        "num_cpus": cluster.logical_cpus,
        "num_gpus": cluster.gpus,
        "object_store_memory": cluster.object_store_mb * 2**20,
        "include_dashboard": cluster.dashboard,
    }


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
    """Ray's token for its own traffic: made when missing, readable by its owner alone.

    Where no file of it can be kept, it is one of this command and its workers.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = token_file()
    with suppress(OSError):
        if path is not None:
            _keep_token(path)
            return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _keep_token(path: Path) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
    if path.stat().st_uid == os.getuid():
        path.chmod(0o600)
