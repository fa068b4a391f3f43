"""Engines, which run the work of verbs: Ray, or this process alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from clusters.cluster import load_cluster
from orchestrator.config.settings import Machine, PoolResources

Row = dict[str, Any]
"""A unit of work, or what became of it; JSON values and bytes."""


class Engine(Protocol):
    """Runs units of work.

    A unit's worker writes its part whole or not at all under a name that depends on the unit
    alone. So work that was killed at any moment continues with the units whose part is missing,
    and nothing is ever written twice.
    """

    def require(self, workers: int, cpus: float, gpus: float, verb: str) -> None:
        """Refuse work that can never be scheduled.

        Args:
            verb: as in `resources.<verb>`, for the message.

        Raises:
            ResourceError: there is less than `workers` times (`cpus`, `gpus`).
        """

    def pool(
        self,
        units: Sequence[Row],
        worker: type,
        worker_options: Row,
        resources: PoolResources,
        verb: str,
    ) -> Iterator[Row]:
        """Results of `worker(**worker_options)(unit)` for every unit, as they finish.

        Args:
            worker: a class whose instances map one row to one row; made once per actor. It
                should load its model with the first row: of a constructor's error Ray keeps the
                text only.
        """

    def tasks(
        self, units: Sequence[Row], function: Callable[[Row], Row], cpus: float, verb: str
    ) -> Iterator[Row]:
        """Results of a function without state for every unit, as they finish.

        Args:
            cpus: of each task.
        """


@contextmanager
def connect(machine: Machine) -> Iterator[Engine]:
    """The engine of the machine's cluster, for the time of the block.

    Raises:
        ConfigError: no such cluster.
        ClusterError: Ray does not start.
    """
    cluster = load_cluster(machine.cluster)
    if is_inline(machine):
        from orchestrator.engine.inline import Inline

        with _ending_by_sigterm():
            yield Inline()
        return
    from orchestrator.engine.ray_engine import RayEngine, running_ray

    with running_ray(machine, cluster), _ending_by_sigterm():
        yield RayEngine()


def is_inline(machine: Machine) -> bool:
    """Whether all work is done in this process, without Ray."""
    return load_cluster(machine.cluster).kind == "inline"


def training_workers(machine: Machine) -> int:
    """Workers that a training has there; they decide its result."""
    return 1 if is_inline(machine) else machine.resources.train.workers


@contextmanager
def _ending_by_sigterm() -> Iterator[None]:
    """SIGTERM as an exit that lets go of what is held; Ray's own handler ends with a C++ trace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)
