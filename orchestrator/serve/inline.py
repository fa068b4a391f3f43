"""A model served by this process without Ray: the same interface and boxes, without batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from orchestrator.config.settings import Serving
from orchestrator.serve.endpoint import create_app
from orchestrator.serve.replica import Replica
from workloads.images.decode import ImageLimits

DRAIN_S = 10  # at the end, for requests that are being answered; a client may never close


@contextmanager
def deployed(folder: Path, name: str, serving: Serving, limits: ImageLimits) -> Iterator[None]:
    """A model in a thread of this process, until the block ends."""
    server = _Server(
        uvicorn.Config(
            create_app(Replica(folder, name, serving, limits), serving.allowed_origins),
            host=serving.host,
            port=serving.port,
            log_level="error",
            timeout_graceful_shutdown=DRAIN_S,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True, name="endpoint")
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    """A server that leaves signals to the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
