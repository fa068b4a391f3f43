"""With a real MLflow server: over the network, killed in the middle, and back again."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.config.settings import Settings, Tracking
from orchestrator.tracking.events import EventLog
from orchestrator.tracking.mlflow_store import MlflowStore
from orchestrator.tracking.registry import champion, fetch_model, register, set_champion
from orchestrator.tracking.tracker import Tracker
from workloads.artifacts import seal
from workloads.errors import IntegrityError

START_TIMEOUT_S = 120
# Without the processes that evaluate traces of language models, which take most of its start.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class Server:
    """`mlflow server` on loopback; its children share its process group."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"),
            *("--artifacts-destination", str(self.folder / "artifacts")),
        ]
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**os.environ, **QUIET},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._healthy():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def settings(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        workspace=tmp_path_factory.mktemp("workspace"),
        tracking=Tracking(uri=server.uri, timeout_s=20),
    )


def test_a_model_goes_over_the_network_and_back(settings: Settings, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.safetensors").write_bytes(os.urandom(2**20))
    (model / "model.json").write_text("{}")
    seal(model, kind="model")
    run = Tracker(settings).start_run("training", {"lr": 0.1}, {"wsol.run": "a/b"})
    version = register(settings, model, "digits", {"method": "any"}, run_id=run.run_id)
    assert version.source.startswith("mlflow-artifacts:/")
    assert register(settings, model, "digits", {"method": "any"}) == version
    set_champion(settings, "digits", version.version, "champion")
    assert champion(settings, "digits", "champion") == version

    folder = fetch_model(settings, "digits@champion").folder
    assert folder.parent == settings.workspace / "models"
    for file in model.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_bytes_changed_on_the_server_are_found(
    settings: Settings, server: Server, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.safetensors").write_bytes(b"weights")
    seal(model, kind="model")
    version = register(settings, model, "changed", {})
    (stored,) = (
        p
        for p in (server.folder / "artifacts").rglob("weights.safetensors")
        if p.read_bytes() == b"weights"
    )
    stored.write_bytes(b"weighty")
    with pytest.raises(IntegrityError, match=r"model changed/1: .*weights\.safetensors"):
        fetch_model(settings, version.reference)


def test_a_server_killed_midway_loses_nothing(
    settings: Settings,
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.tracking.tracker.POLL_S", 0.05)
    log = EventLog(tmp_path / "events.jsonl")
    tracker = Tracker(settings)
    run = tracker.start_run("killed", {"lr": 0.1}, {"wsol.run": "killed midway"}, parent="a/b")
    tracker.follow(run, log.path)
    for epoch in range(1, 4):
        log.append({"epoch": epoch, "metrics": {"loss": 1 / epoch, "nan": math.nan}})
    wait_until(lambda: run.sent == log.path.stat().st_size)

    server.kill()
    slowest = 0.0
    for epoch in range(4, 40):
        began = time.monotonic()
        log.append({"epoch": epoch, "metrics": {"loss": 1 / epoch, "nan": math.nan}})
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.02)
    wait_until(lambda: bool(caplog.records))
    began = time.monotonic()
    tracker.log_artifact(run, log.path)
    tracker.close(run, "FINISHED")
    assert time.monotonic() - began < 5
    assert slowest < 5
    (warning,) = (r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)
    assert warning.endswith(f"wsol sync {log.path}")
    assert not run.is_sent()

    server.start()
    assert Tracker(settings).sync(log.path)
    client = MlflowStore(settings).client
    stored = client.get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.info.end_time == run.ended_ms
    for metric in ("loss", "nan"):
        history = client.get_metric_history(run.run_id, metric)
        assert sorted(m.step for m in history) == list(range(1, 40))
    assert [f.path for f in client.list_artifacts(run.run_id)] == ["events.jsonl"]
    parent = client.get_run(stored.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["wsol.run"] == "a/b"


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
