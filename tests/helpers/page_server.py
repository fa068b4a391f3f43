"""The endpoint with its page: it keeps what it is asked, and is busy when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvicorn
from made_host import MadeHost
from samples import free_port, make_settings

from orchestrator.config.settings import Serving
from orchestrator.serve import inline
from orchestrator.serve.api.app import create_app
from orchestrator.serve.api.host import Answer, Ask
from orchestrator.serve.hosting.local_host import LocalHost
from orchestrator.serve.serve import running
from workloads.errors import Overloaded


class PageHost(LocalHost):
    """Models of an endpoint.

    Attributes:
        url: of the endpoint, without a slash at its end.
        asked: model, options and file of every question, as they came.
        busy: so many of the next questions are refused.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.url = ""
        self.asked: list[tuple[str | None, Ask, bytes]] = []
        self.busy = 0

    async def detect(self, model: str | None, data: bytes, ask: Ask) -> Answer:
        self.asked.append((model, ask, data))
        if self.busy:
            self.busy -= 1
            raise Overloaded("too many images wait already; ask again later")
        return await super().detect(model, data, ask)


@contextmanager
def page_endpoint(
    workspace: Path, folders: Sequence[Path], keys_file: Path | None = None
) -> Iterator[PageHost]:
    """An endpoint of models, the first one loaded, until the block ends."""
    settings = make_settings(workspace)
    changes = {
        "models": {folder.name: str(folder) for folder in folders[1:]},
        "max_loaded": 1,
        "keys_file": keys_file,
    }
    hosts: list[PageHost] = []

    def made(*arguments: Any) -> PageHost:
        hosts.append(PageHost(*arguments))
        return hosts[0]

    serving = settings.serve.model_copy(update=changes)
    with (
        patch.object(inline, "LocalHost", made),
        running(settings, str(folders[0]), serving) as url,
    ):
        hosts[0].url = url.rstrip("/")
        yield hosts[0]


@contextmanager
def page_files() -> Iterator[str]:
    """The address of an endpoint without a network, for who needs the page's files alone."""
    port = free_port()
    app = create_app(MadeHost(), Serving())
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
