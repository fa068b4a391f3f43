"""Tracking never stands in the way of work: servers that are down or silent, broken databases."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tracked import history, warnings_in

from orchestrator.config.settings import Settings, Tracking
from orchestrator.tracking import tracker as tracker_module
from orchestrator.tracking.events import EventLog
from orchestrator.tracking.mlflow_store import MlflowStore, tag_of
from orchestrator.tracking.tracked_run import Run, sent_path
from orchestrator.tracking.tracker import Tracker
from workloads.errors import NotFound


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield int(server.getsockname()[1])


def at(port: int, folder: Path, timeout_s: float = 1.0) -> Settings:
    uri = f"http://user:secret@127.0.0.1:{port}"
    return Settings(workspace=folder, tracking=Tracking(uri=uri, timeout_s=timeout_s))


def test_a_dead_server_costs_one_warning_and_no_time(
    closed_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = EventLog(tmp_path / "run 1" / "events.jsonl")
    tracker = Tracker(at(closed_port, tmp_path))
    began = time.monotonic()
    for name in ("a", "b"):
        run = tracker.start_run(name, {"lr": 1}, {"wsol.run": name})
        with tracker.follow(run, log.path):
            log.append({"epoch": 1, "metrics": {"loss": 0.5}})
        tracker.log_artifact(run, log.path)
        tracker.close(run, "FINISHED")
    assert time.monotonic() - began < 5
    assert run.run_id is None
    assert not run.is_sent()
    (warning,) = warnings_in(caplog)
    assert "\n" not in warning
    assert f"http://***@127.0.0.1:{closed_port}" in warning
    assert "refused" in warning
    assert "secret" not in warning
    assert warning.endswith(f"wsol sync '{log.path}'")


def test_a_silent_server_costs_one_timeout(
    silent_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    tracker = Tracker(at(silent_port, tmp_path, timeout_s=1))
    began = time.monotonic()
    for name in "abcde":
        run = tracker.start_run(name, {}, {"wsol.run": name})
        tracker.follow(run, log.path)
        tracker.close(run, "FINISHED")
    assert time.monotonic() - began < 5
    assert len(warnings_in(caplog)) == 1


@pytest.mark.parametrize("error", [RuntimeError("odd"), KeyError("k"), OSError(28, "disk full")])
def test_no_error_of_mlflow_reaches_the_work(
    settings: Settings, tmp_path: Path, caplog: Any, monkeypatch: Any, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(MlflowStore, "open_run", fail)
    tracker = Tracker(settings)
    run = tracker.start_run("x", {}, {})
    with tracker.follow(run, tmp_path / "events.jsonl"):
        tracker.log_metrics(run, {"a": 1.0})
    tracker.log_artifact(run, tmp_path)
    tracker.close(run, "FAILED")
    assert len(warnings_in(caplog)) == 1


def test_a_log_that_cannot_be_kept_up_to_date_stops_nothing(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str, caplog: Any
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    sent_path(log.path).mkdir()  # nothing can be written there
    tracker = Tracker(settings)
    run = tracker.start_run("x", {}, {"wsol.run": uid})
    tracker.follow(run, log.path)
    tracker.close(run, "FINISHED")
    assert len(warnings_in(caplog)) == 1


def test_a_server_that_comes_back_gets_everything_by_itself(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("orchestrator.tracking.tracker.POLL_S", 0.02)
    monkeypatch.setattr("orchestrator.tracking.tracker.REST_S", 0.1)
    log = EventLog(tmp_path / "events.jsonl")
    tracker = Tracker(settings)
    run = tracker.start_run("x", {}, {"wsol.run": uid})
    tracker.follow(run, log.path)
    send = MlflowStore.log_metrics
    answers = iter([False, False, True])

    def sometimes(*arguments: Any) -> None:
        if not next(answers, True):
            raise ConnectionError("away")
        send(*arguments)

    monkeypatch.setattr(MlflowStore, "log_metrics", sometimes)
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    deadline = time.monotonic() + 20
    while not run.is_sent():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    tracker.close(run, "FINISHED")
    assert history(store, run.run_id, "loss") == [(1, 0.5)]
    assert len(warnings_in(caplog)) == 1


def test_a_server_that_is_back_at_the_end_gets_everything(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str, monkeypatch: Any
) -> None:
    """Though it failed just before, and would be left alone for half a minute."""
    log, tracker = EventLog(tmp_path / "events.jsonl"), Tracker(settings)
    run = tracker.start_run("x", {}, {"wsol.run": uid})
    send, back = MlflowStore.log_metrics, False

    def sometimes(*arguments: Any) -> None:
        if not back:
            raise ConnectionError("away")
        send(*arguments)

    monkeypatch.setattr(MlflowStore, "log_metrics", sometimes)
    with tracker.follow(run, log.path):
        log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    assert not run.is_sent()
    back = True
    tracker.close(run, "FINISHED")
    assert history(store, run.run_id, "loss") == [(1, 0.5)]


def test_large_files_get_more_time(settings: Settings, store: MlflowStore) -> None:
    timeout = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    with store.transfer(500 * 2**20):
        assert os.environ[timeout] == "560"
    assert os.environ[timeout] == "60"


def test_sync_delivers_what_a_dead_server_missed(
    settings: Settings,
    store: MlflowStore,
    closed_port: int,
    tmp_path: Path,
    uid: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    report = tmp_path / "report.html"
    report.write_text("<p>")
    dead = Tracker(at(closed_port, tmp_path))
    run = dead.start_run("late", {"lr": 0.1}, {"wsol.run": uid}, parent=f"parent of {uid}")
    with dead.follow(run, log.path):
        log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    dead.log_artifact(run, report)
    dead.close(run, "FAILED")
    assert not dead.sync(log.path)
    assert len(warnings_in(caplog)) == 1

    alive = Tracker(settings)
    assert alive.sync(log.path)
    assert alive.sync(log.path)  # nothing left to do
    (found,) = store.client.search_runs([store.experiment()], f"tags.`wsol.run` = '{tag_of(uid)}'")
    assert found.info.status == "FAILED"
    assert found.info.start_time == run.started_ms
    assert found.info.end_time == run.ended_ms
    assert found.data.params == {"lr": "0.1"}
    assert "mlflow.parentRunId" in found.data.tags
    assert history(store, found.info.run_id, "loss") == [(1, 0.5)]
    assert [f.path for f in store.client.list_artifacts(found.info.run_id)] == ["report.html"]


def test_sync_of_a_log_without_a_run(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no tracked run there"):
        Tracker(settings).sync(tmp_path / "events.jsonl")


def test_a_database_that_is_none_fails_at_once(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, and long enough to be read")
    tracker = Tracker(Settings(workspace=tmp_path))
    began = time.monotonic()
    run = tracker.start_run("x", {}, {})
    tracker.close(run, "FINISHED")
    assert time.monotonic() - began < 5
    assert "not a database" in warnings_in(caplog)[0]


def test_what_fails_between_two_requests_is_named(
    closed_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The courier looks at the logs by itself; that nobody asked it to is no cause of a failure."""

    def fails_later(_: MlflowStore, run: Run) -> None:
        if run.run_id:
            raise ConnectionResetError("reset by the server")
        run.run_id = "1"

    monkeypatch.setattr(tracker_module, "deliver", fails_later)
    monkeypatch.setattr(tracker_module, "POLL_S", 0.01)
    log, tracker = EventLog(tmp_path / "events.jsonl"), Tracker(at(closed_port, tmp_path))
    run = tracker.start_run("a", {}, {"wsol.run": "a"})
    with tracker.follow(run, log.path):
        give_up = time.monotonic() + 10
        while not warnings_in(caplog) and time.monotonic() < give_up:
            time.sleep(0.01)
    (warning,) = warnings_in(caplog)
    assert "(reset by the server)" in warning
