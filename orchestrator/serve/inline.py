"""Models served by this process without Ray: the same interface and boxes, without batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from orchestrator.config.settings import Machine, Serving
from orchestrator.serve.api.app import create_app
from orchestrator.serve.hosting.local_host import LocalHost
from orchestrator.serve.hosting.offers import Offer

DRAIN_S = 10  # at the end, for requests that are being answered; a client may never close


@contextmanager
def deployed(
    machine: Machine, serving: Serving, offers: Sequence[Offer]
) -> Iterator[Callable[[], None]]:
    """Models in a thread of this process, until the block ends.

    Yields:
        A check that raises what went wrong with loading the default model, if anything did.
    """
    host = LocalHost(machine, serving, offers)
    config = uvicorn.Config(
        create_app(host, serving),
        host=serving.host,
        port=serving.port,
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config, host)
    thread = threading.Thread(target=server.run, daemon=True, name="endpoint")
    thread.start()
    try:
        yield server.check
    finally:
        host.end()
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    """A server that answers while its models are loaded, and leaves signals to the command."""

    def __init__(self, config: uvicorn.Config, host: LocalHost) -> None:
        super().__init__(config)
        self._host = host
        self._loading: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, and begin to load."""
        await super().startup()
        self._loading = asyncio.create_task(self._host.start())

    def check(self) -> None:
        """Raise what went wrong with loading the default model, if anything did."""
        if self._loading is not None and self._loading.done():
            self._loading.result()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
