"""An endpoint in a process of its own, to be attacked: python hostile_server.py KEYS_FILE."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from samples import free_port, make_model

from orchestrator.config.settings import Serving, Settings
from orchestrator.serve.hosting.local_host import LocalHost
from orchestrator.serve.hosting.offers import make_offers
from orchestrator.serve.listening import listening

MAX_PIXELS = 1_000_000


def main(keys_file: str) -> None:
    """Serve a small model on a free port, which is printed first, until the process is ended."""
    machine = Settings.model_validate(
        {"cluster": "inline", "images": {"max_pixels": MAX_PIXELS}, "workspace": "unused"}
    )
    serving = Serving(
        port=free_port(), keys_file=Path(keys_file), max_request_mb=1, max_images=4, max_queue=32,
        request_timeout_s=2,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "m", seed=0)
        host = LocalHost(machine, serving, make_offers(machine, str(model), {}))
        with listening(host, serving, host.start) as check:
            while not host.ready:
                check()
                time.sleep(0.05)
            print(serving.port, flush=True)  # noqa: T201 - for who started it
            threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
