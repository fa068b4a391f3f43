"""An endpoint from start to end: one that cannot start, and `wsol serve` as a process."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import pytest
from commands import start_wsol, wait_until
from samples import free_port, picture

from orchestrator.serve.hosting.offers import make_offer
from orchestrator.serve.serve import serve
from workloads.errors import ResourceError, WsolError

RAW = {"Content-Type": "application/octet-stream"}
# Over its limit of resting connections httpx closes some that a thread was just given.
MANY = httpx.Limits(max_keepalive_connections=None)


@pytest.mark.long  # it starts all of Serve, to see it fail
def test_a_replica_that_does_not_start_says_why(ray_cluster, settings, model_folder, monkeypatch):
    offer = make_offer(settings, "m@champion", str(model_folder))
    gone = [offer.model_copy(update={"folder": model_folder / "nothing"})]
    monkeypatch.setattr("orchestrator.serve.serve.make_offers", lambda *_, **__: gone)
    with pytest.raises(WsolError, match=r"does not start: .*NotFound: .*no model there"):
        serve(settings, "m@champion", settings.serve)


def test_more_than_the_cluster_has(ray_cluster, settings, model_folder):
    serving = settings.serve.model_copy(update={"replicas": 50})
    with pytest.raises(ResourceError, match="50 x 1 CPU"):
        serve(settings, str(model_folder), serving)


@pytest.fixture
def process(request, model_folder, tmp_path) -> Iterator[tuple[BaseProcess, str, Path]]:
    """`wsol serve` with room for three requests: process, URL and what it says."""
    port = free_port()
    config = {
        "cluster": request.param,
        "workspace": str(tmp_path / "workspace"),
        "serve": {"port": port, "max_batch_size": 1, "max_queue": 1},
    }
    (tmp_path / "ray_config.yaml").write_text(json.dumps(config))
    words = ["--config", str(tmp_path / "ray_config.yaml"), "serve", "--model", str(model_folder)]
    said = tmp_path / "said"
    process = start_wsol(*words, said=said)
    try:
        wait_until(lambda: "Ctrl-C" in said.read_text(), process, said)
        yield process, f"http://127.0.0.1:{port}", said
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize(
    ("process", "sent", "code"),
    [
        ("inline", signal.SIGTERM, 0),
        ("inline", signal.SIGINT, 130),
        ("local", signal.SIGTERM, 0),
    ],
    indirect=["process"],
)
def test_it_sheds_load_and_ends_cleanly(process, sent, code):
    process, url, said = process
    with httpx.Client(base_url=url, timeout=60, limits=MANY, trust_env=False) as client:

        def post(seed: int) -> int:
            return client.post("/v1/detect", content=picture(seed), headers=RAW).status_code

        assert client.get("/readyz").status_code == 200
        with ThreadPoolExecutor(48) as pool:
            answers = pool.map(post, range(144))
        counts = Counter(answers)
        assert set(counts) == {200, 503}, counts
        assert client.get("/readyz").status_code == 200
    os.kill(process.pid, sent)
    process.join(timeout=60)
    assert process.exitcode == code, said.read_text()
    assert "Traceback" not in said.read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)
