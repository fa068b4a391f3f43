"""The interface on a port, in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn

from orchestrator.config.settings import Serving
from orchestrator.serve.api.app import create_app
from orchestrator.serve.api.host import Host
from orchestrator.serve.http_protocol import StrictProtocol

DRAIN_S = 10  # at the end, for requests that are being answered; a client may never close

Start = Callable[[], Awaitable[None]]
"""Loads models, in the loop that answers."""


@contextmanager
def listening(
    host: Host, serving: Serving, start: Start | None = None
) -> Iterator[Callable[[], None]]:
    """Answer at `serving.host` and `serving.port` until the block ends.

    Args:
        start: runs once it listens.

    Yields:
        A check that raises what `start` raised, if it did.
    """
    config = uvicorn.Config(
        create_app(host, serving),
        host=serving.host,
        port=serving.port,
        http=StrictProtocol,
        ws="none",
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config, start)
    thread = threading.Thread(target=server.run, daemon=True, name="endpoint")
    thread.start()
    try:
        yield server.check
    finally:
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    """A server that answers while models are loaded, and leaves signals to the command."""

    def __init__(self, config: uvicorn.Config, start: Start | None) -> None:
        super().__init__(config)
        self._start = start
        self._starting: asyncio.Future[None] | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, and begin to load."""
        await super().startup()
        if self._start is not None:
            self._starting = asyncio.ensure_future(self._start())

    def check(self) -> None:
        """Raise what went wrong with loading, if anything did."""
        if self._starting is not None and self._starting.done():
            self._starting.result()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
