"""Models served by this process without Ray: the same interface and boxes, without batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from orchestrator.config.settings import Machine, Serving
from orchestrator.serve.hosting.local_host import LocalHost
from orchestrator.serve.hosting.offers import Offer
from orchestrator.serve.listening import listening


@contextmanager
def deployed(
    machine: Machine, serving: Serving, offers: Sequence[Offer]
) -> Iterator[Callable[[], None]]:
    """Models in a thread of this process, until the block ends.

    Yields:
        A check that raises what went wrong with loading the default model, if anything did.
    """
    host = LocalHost(machine, serving, offers)
    with listening(host, serving, host.start) as check:
        try:
            yield check
        finally:
            host.end()
