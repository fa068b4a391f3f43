"""All work in this process, one unit after another: no Ray, no start-up, the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestrator.config.settings import PoolResources
from orchestrator.engine.engine import Row
from workloads.errors import ResourceError


class Inline:
    """An engine without a cluster; see `Engine`."""

    def require(self, workers: int, cpus: float, gpus: float, verb: str) -> None:
        """This process has the cores that it has, and the GPUs that it sees."""
        if gpus > 0 and gpus > (have := _visible_gpus()):
            raise ResourceError(
                f"{verb} needs {gpus:g} GPU, this process sees {have}; set resources.{verb} to "
                "0 GPUs or choose another cluster"
            )

    def pool(
        self,
        units: Sequence[Row],
        worker: type,
        worker_options: Row,
        resources: PoolResources,
        verb: str,
    ) -> Iterator[Row]:
        """One actor, here."""
        self.require(1, resources.cpus_per_actor, resources.gpus_per_actor, verb)
        if units:
            yield from map(worker(**worker_options), units)

    def tasks(
        self, units: Sequence[Row], function: Callable[[Row], Row], cpus: float, verb: str
    ) -> Iterator[Row]:
        """One task after another."""
        yield from map(function, units)


def _visible_gpus() -> int:
    import torch

    return torch.cuda.device_count()
