"""Units of work through a Ray Data actor pool, each with its own output part.

A unit's worker writes its part whole or not at all under a name that depends on the unit
alone. So a job killed at any moment continues with the units whose part is missing, and
nothing is ever written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orchestrator.config.settings import PoolResources
from orchestrator.engine.cluster import require
from orchestrator.engine.worker_errors import plain_worker_errors

Row = dict[str, Any]


def run_pool(
    units: Sequence[Row],
    worker: type,
    worker_options: Row,
    resources: PoolResources,
    what: str,
) -> Iterator[Row]:
    """Results of `worker(**worker_options)(unit)` for every unit, as they finish.

    Args:
        worker: a class whose instances map one row to one row; made once per actor. It should
            load its model with the first row: of a constructor's error Ray keeps the text only.
        what: the verb, as in `resources.<what>`, for messages.
    """
    import ray.data
    from ray.data import ActorPoolStrategy

    if not units:
        return
    require(1, resources.cpus_per_actor, resources.gpus_per_actor, what)
    with plain_worker_errors():
        dataset = ray.data.from_items(list(units), override_num_blocks=len(units)).map(
            worker,
            fn_constructor_kwargs=worker_options,
            compute=ActorPoolStrategy(size=min(resources.actors, len(units))),
            num_cpus=resources.cpus_per_actor,
            num_gpus=resources.gpus_per_actor or None,
        )
        yield from dataset.iter_rows()


def run_tasks(
    units: Sequence[Row], function: Callable[[Row], Row], cpus_per_task: float, what: str
) -> Iterator[Row]:
    """Results of a function without state for every unit, as they finish."""
    import ray.data

    if not units:
        return
    require(1, cpus_per_task, 0, what)
    with plain_worker_errors():
        dataset = ray.data.from_items(list(units), override_num_blocks=len(units)).map(
            function, num_cpus=cpus_per_task
        )
        yield from dataset.iter_rows()
