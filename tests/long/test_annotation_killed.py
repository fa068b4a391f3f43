"""A campaign: an annotation on a Ray of three nodes, struck a hundred times at random moments.

`make test-long` prints the figures that stand in docs/reliability.md.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from killed_annotation import exports
from samples import make_images, make_model

KILLS, IMAGES, CHUNK = int(os.environ.get("WSOL_KILLS", "100")), 3_000, 8
KINDS = {"driver": 2, "actor": 5, "worker": 2, "node": 1}
SETTINGS = """
cluster: {cluster}
workspace: {workspace}
resources: {{annotate: {{chunk_images: {chunk}}}}}
"""


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    nodes = Nodes()
    try:
        yield nodes
    finally:
        nodes.cluster.shutdown()


class Nodes:
    """A head without CPUs, where the driver is, and two nodes of one CPU."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        store = 100 * 2**20
        self.options: dict[str, Any] = {"num_cpus": 1, "object_store_memory": store}
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "object_store_memory": store},
        )
        self.workers = [self.cluster.add_node(**self.options) for _ in range(2)]

    def kill_one(self, rng: random.Random) -> None:
        """SIGKILL to all processes of a node; another takes its place."""
        node = self.workers.pop(rng.randrange(len(self.workers)))
        below = [p for root in _pids(node) for p in psutil.Process(root).children(recursive=True)]
        self.cluster.remove_node(node, allow_graceful=False)
        for process in below:
            _kill(process)
        self.workers.append(self.cluster.add_node(**self.options))

    def processes(self, *names: str) -> list[psutil.Process]:
        """Processes of Ray's workers on the two nodes whose titles begin so."""
        roots = [psutil.Process(pid) for node in self.workers for pid in _pids(node)]
        below = [p for root in roots for p in root.children(recursive=True)]
        return [p for p in below if _title(p).startswith(names)]


def _pids(node: Any) -> list[int]:
    return [p.process.pid for some in node.all_processes.values() for p in some]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return ""


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


class Annotating:
    """`wsol annotate` on the nodes, started again each time that it was killed."""

    def __init__(self, folder: Path, images: Path, model: Path, address: str) -> None:
        folder.mkdir()
        self.out = folder / "out"
        (folder / "joined.yaml").write_text("name: nodes\nsummary: of a test\nkind: joined\n")
        (folder / "c.yaml").write_text(
            SETTINGS.format(
                cluster=folder / "joined.yaml", workspace=folder / "workspace", chunk=CHUNK
            )
        )
        self.words = [sys.executable, "-m", "orchestrator.cli", "annotate", str(images)]
        self.words += ["--config", str(folder / "c.yaml"), "--model", str(model)]
        self.words += ["--out", str(self.out), "-o", "json"]
        self.environment = {**os.environ, "RAY_ADDRESS": address}
        self.log = folder / "log"
        self.process = self.start()
        self.seen: dict[Path, int] = {}

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("a") as log:
            return subprocess.Popen(
                self.words, env=self.environment, stdout=subprocess.DEVNULL, stderr=log
            )

    def look(self) -> int:
        """Parts that are there; one that was there is never written again."""
        now = {p: p.stat().st_mtime_ns for p in (self.out / "parts").rglob("part-*.parquet")}
        again = [p for p, when in self.seen.items() if now.get(p) != when]
        assert not again, f"written again or lost: {again}"
        self.seen = now
        return len(now)

    def code(self) -> int | None:
        """The exit code; None while it works."""
        return self.process.poll()


def strike(kind: str, annotating: Annotating, nodes: Nodes, rng: random.Random) -> bool:
    """One SIGKILL; whether there was anything to strike."""
    if kind == "driver":
        annotating.process.send_signal(signal.SIGKILL)
        annotating.process.wait()
        annotating.process = annotating.start()
    elif kind == "node":
        nodes.kill_one(rng)
    else:
        victims = nodes.processes("ray::MapWorker" if kind == "actor" else "ray::")
        if not victims:
            return False
        _kill(rng.choice(victims))
    return True


def test_an_annotation_struck_a_hundred_times(nodes: Nodes, tmp_path: Path) -> None:
    images, model = make_images(tmp_path / "images", IMAGES), make_model(tmp_path / "model", seed=0)
    began, rng, struck, rounds = time.monotonic(), random.Random(0), Counter[str](), 0
    peace = Annotating(tmp_path / "peace", images, model, nodes.cluster.address)
    assert peace.process.wait(600) == 0
    whole = exports(peace.out)
    while struck.total() < KILLS:
        war = Annotating(tmp_path / f"war-{rounds}", images, model, nodes.cluster.address)
        while struck.total() < KILLS and war.code() is None:
            deadline = time.monotonic() + rng.uniform(0.5, 12)
            while time.monotonic() < deadline and war.code() is None:
                time.sleep(0.2)
                war.look()
            if war.code() is None:
                kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
                struck[kind] += strike(kind, war, nodes, rng)
        assert war.process.wait(600) == 0, war.log.read_text()[-3000:]
        war.look()
        assert exports(war.out) == whole
        rounds += 1
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(struck.items()))
    print(  # noqa: T201
        f"\nannotation on Ray: {struck.total()} kills ({kinds}) in {rounds} annotations of "
        f"{IMAGES} images, the same bytes, no part written twice; {time.monotonic() - began:.0f} s"
    )
