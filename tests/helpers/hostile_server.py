"""An endpoint in a process of its own, to be attacked: python hostile_server.py KEYS_FILE."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from made_host import MadeHost

from orchestrator.config.settings import Serving
from orchestrator.serve.api.app import create_app
from orchestrator.serve.api.host import Host

MAX_PIXELS = 1_000_000


def host() -> Host:
    """The host that is attacked; it really decodes images."""
    return MadeHost(MAX_PIXELS)


def main(keys_file: str) -> None:
    """Serve on a free port, which is printed first, until the process is ended."""
    serving = Serving(
        keys_file=Path(keys_file), max_request_mb=1, max_images=4, max_queue=32, request_timeout_s=2
    )
    config = uvicorn.Config(
        create_app(host(), serving), port=0, log_level="critical", server_header=False
    )
    server = uvicorn.Server(config)
    bound = config.bind_socket()
    print(bound.getsockname()[1], flush=True)  # noqa: T201 - for who started it
    server.run([bound])


if __name__ == "__main__":
    main(sys.argv[1])
