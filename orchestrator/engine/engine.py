"""The contract of an engine, which runs the work of verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from orchestrator.config.settings import PoolResources

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
                text only. Of many units some may be given to it again after a crash though their
                part is written, so it looks first.
        """

    def tasks(
        self, units: Sequence[Row], function: Callable[[Row], Row], cpus: float, verb: str
    ) -> Iterator[Row]:
        """Results of a function without state for every unit, as they finish.

        Args:
            cpus: of each task.
        """
