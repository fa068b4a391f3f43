"""The state of delivery of a run: kept beside its log, repeated without harm, read back whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.tracking import tracked_run as module
from orchestrator.tracking.events import EventLog
from orchestrator.tracking.tracked_run import Run, deliver, restore, sent_path
from workloads.errors import IntegrityError, NotFound


class Gone(Exception):
    """As MLflow says that a run does not exist."""

    error_code = "RESOURCE_DOES_NOT_EXIST"


class Server:
    """A tracking server in memory; `fails` takes the errors of its next calls."""

    def __init__(self) -> None:
        self.client = self
        self.runs: dict[str, dict[str, Any]] = {}
        self.fails: dict[str, list[Exception]] = {}
        self.forgot = 0

    def _call(self, name: str) -> None:
        if waiting := self.fails.get(name):
            raise waiting.pop(0)

    def open_run(self, uid, name, params, tags, started_ms) -> str:
        self._call("open_run")
        fresh = {"tags": dict(tags), "metrics": [], "files": [], "end": None, "calls": []}
        self.runs.setdefault(f"id of {uid}", fresh)
        return f"id of {uid}"

    def parent_id(self, parent: str) -> str:
        return f"id of {parent}"

    def log_metrics(self, run_id, metrics) -> None:
        self._call("log_metrics")
        if run_id not in self.runs:
            raise Gone
        self.runs[run_id]["calls"].append(len(metrics))
        self.runs[run_id]["metrics"] += metrics

    def log_artifact(self, run_id, path: Path, folder) -> None:
        self._call("log_artifact")
        self.runs[run_id]["files"].append((path.name, folder))

    def set_terminated(self, run_id, status, ended_ms) -> None:
        self._call("set_terminated")
        self.runs[run_id]["end"] = (status, ended_ms)

    def forget(self) -> None:
        self.forgot += 1


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def log(tmp_path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl")


def a_run(log: EventLog | None = None, uid: str = "u") -> Run:
    run = Run(uid, "name", {"lr": "0.1"}, {"wsol.run": uid})
    if log is not None:
        run.attach(log.path)
    return run


def losses(server: Server, uid: str = "u") -> list[float]:
    return [value for _, value, _, _ in server.runs[f"id of {uid}"]["metrics"]]


def test_a_run_is_sent_when_nothing_is_left(server, log):
    run = a_run(log)
    assert not run.is_sent()  # MLflow does not know it yet
    deliver(server, run)
    assert run.is_sent()
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    assert not run.is_sent()
    deliver(server, run)
    assert run.is_sent()
    run.status = "FINISHED"
    assert not run.is_sent()
    deliver(server, run)
    assert run.is_sent()
    assert server.runs["id of u"]["end"] == ("FINISHED", 0)
    assert losses(server) == [0.5]  # each delivery sends what is new


def test_what_is_left_counts_as_not_sent(server, tmp_path):
    run = a_run()
    deliver(server, run)
    run.metrics = [("a", 1.0, 0, 0)]
    assert not run.is_sent()
    run.metrics, run.files = [], [(str(tmp_path), None)]
    assert not run.is_sent()


def test_the_events_own_time_and_epoch_are_those_of_the_metric(server, log):
    log.append({"epoch": 3, "time_ms": 77, "metrics": {"AP@0.5": 1, "yes": True, "text": "x"}})
    log.append({"time_ms": 78, "metrics": {"test": 0.25}})
    log.append({"time_ms": 79, "note": "no metrics"})
    deliver(server, a_run(log))
    assert server.runs["id of u"]["metrics"] == [
        ("AP_0.5", 1.0, 77, 3),
        ("yes", 1.0, 77, 3),
        ("test", 0.25, 78, 0),
    ]


def test_a_parent_becomes_a_tag(server):
    run = a_run()
    run.parent = "p"
    deliver(server, run)
    tags = server.runs["id of u"]["tags"]
    assert tags == {"wsol.run": "u", "mlflow.parentRunId": "id of p"}
    assert run.tags == {"wsol.run": "u"}


def test_metrics_go_in_calls_of_at_most_a_thousand(server, log):
    run = a_run(log)
    run.metrics = [("m", float(i), 0, i) for i in range(2001)]
    log.append({"metrics": {f"e{i}": float(i) for i in range(1500)}})
    for i in range(700):
        log.append({"epoch": i, "metrics": {"a": float(i), "b": float(i)}})
    deliver(server, run)
    calls = server.runs["id of u"]["calls"]
    # 2001 of no log; one event of 1500; then whole events until a call is full: 500 and 200
    assert calls == [1000, 1000, 1, 1000, 500, 1000, 400]
    assert run.metrics == []
    assert run.sent == log.path.stat().st_size


@pytest.mark.parametrize("step", ["open_run", "log_metrics", "set_terminated", "log_artifact"])
def test_a_delivery_that_failed_anywhere_is_completed_by_the_next(server, log, tmp_path, step):
    (tmp_path / "report.html").write_text("<p>")
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    run = a_run(log)
    run.files = [(str(tmp_path / "report.html"), "page")]
    run.status = "FINISHED"
    server.fails[step] = [ConnectionError("away")]
    with pytest.raises(ConnectionError):
        deliver(server, run)
    assert not run.is_sent()
    run.save()
    deliver(server, restore(log.path))  # by another process
    stored = server.runs["id of u"]
    assert losses(server) == [0.5]
    assert stored["files"] == [("report.html", "page")]
    assert stored["end"] == ("FINISHED", 0)
    assert restore(log.path).is_sent()


def test_a_call_that_failed_half_way_repeats_no_finished_part(server):
    run = a_run()
    run.metrics = [("m", float(i), 0, i) for i in range(1500)]
    deliver(server, a_run())
    send, server_calls = server.log_metrics, iter([None, ConnectionError("away")])

    def once(run_id, metrics):
        if error := next(server_calls, None):
            raise error
        send(run_id, metrics)

    server.log_metrics = once
    with pytest.raises(ConnectionError):
        deliver(server, run)
    assert len(run.metrics) == 500
    deliver(server, run)
    assert losses(server) == [float(i) for i in range(1500)]


def test_a_server_with_another_database_gets_all_from_the_start(server, log):
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    run = a_run(log)
    run.status = "FAILED"
    deliver(server, run)
    server.runs.clear()
    run.run_id = run.sent_to = "id of an earlier database"
    log.append({"epoch": 2, "metrics": {"loss": 0.25}})
    deliver(server, run)
    assert server.forgot == 1
    assert losses(server) == [0.5, 0.25]
    assert server.runs["id of u"]["end"] == ("FAILED", 0)


def test_a_run_that_is_gone_twice_is_an_error_and_no_loop(server, log):
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    server.fails["log_metrics"] = [Gone(), Gone()]
    with pytest.raises(Gone):
        deliver(server, a_run(log))
    assert server.forgot == 1


def test_other_errors_do_not_start_anything_over(server, log):
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    server.fails["log_metrics"] = [ConnectionError("away")]
    run = a_run(log)
    with pytest.raises(ConnectionError):
        deliver(server, run)
    assert server.forgot == 0
    assert (run.opened, run.sent) == (True, 0)


def test_progress_is_kept_after_each_portion(server, log, monkeypatch):
    monkeypatch.setattr(module, "_MAX_METRICS", 2)
    for epoch in range(1, 6):
        log.append({"epoch": epoch, "metrics": {"loss": float(epoch)}})
    send, calls = server.log_metrics, []

    def twice(run_id, metrics):
        calls.append(len(metrics))
        if len(calls) == 3:
            raise ConnectionError("away")
        send(run_id, metrics)

    server.log_metrics = twice
    with pytest.raises(ConnectionError):
        deliver(server, a_run(log))
    server.log_metrics = send
    left = restore(log.path)
    assert left.sent == sum(map(len, log.path.read_bytes().splitlines(keepends=True)[:4]))
    deliver(server, left)
    assert losses(server) == [1.0, 2.0, 3.0, 4.0, 5.0]


texts = st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3)


@settings(max_examples=25)  # each is written through to the disk
@given(
    texts,
    texts,
    st.one_of(st.none(), st.text(max_size=9)),
    st.sampled_from([None, "FINISHED", "FAILED", "KILLED"]),
    st.lists(st.tuples(st.text(max_size=9), st.one_of(st.none(), st.text(max_size=9)))),
    st.integers(0, 2**50),
)
def test_a_saved_run_is_restored_as_it_was(
    tmp_path_factory, params, tags, parent, status, files, sent
):
    events = tmp_path_factory.mktemp("run") / "events.jsonl"
    run = Run("u", "nä\nme", params, tags, parent, 12, "id", True, events)
    run.status, run.files, run.sent, run.sent_to = status, files, sent, "id"
    run.save()
    found = restore(events)
    assert {k: getattr(found, k) for k in module.kept_fields()} == {
        k: getattr(run, k) for k in module.kept_fields()
    }
    assert (found.events, found.metrics) == (events, [])


def test_a_run_without_a_log_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a_run().save()
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_was_sent_in_part_goes_on_from_there(server, log, tmp_path):
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    first = a_run(log)
    first.files = [(str(tmp_path), "plots")]
    server.fails["log_artifact"] = [ConnectionError("away")]
    with pytest.raises(ConnectionError):
        deliver(server, first)
    again = Run("u", "name", {}, {})
    again.files = [("/report.html", None)]
    again.attach(log.path)
    assert (again.sent, again.sent_to) == (log.path.stat().st_size, "id of u")
    assert again.files == [(str(tmp_path), "plots"), ("/report.html", None)]
    again.attach(log.path)  # once more takes nothing twice
    assert len(again.files) == 2


def test_the_log_of_another_run_is_sent_from_its_start(server, log):
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    deliver(server, a_run(log))
    other = a_run(log, "another")
    assert (other.sent, other.sent_to) == (0, None)
    deliver(server, other)
    assert losses(server, "another") == [0.5]


def test_a_relative_log_is_found_from_any_folder(log, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = Run("u", "n", {}, {})
    run.attach(Path("events.jsonl"))
    assert run.events == log.path


def test_nothing_followed_is_not_found(tmp_path):
    with pytest.raises(NotFound) as caught:
        restore(tmp_path / "e.jsonl")
    assert str(caught.value) == (
        f"{tmp_path}/e.jsonl: no tracked run there; give the events.jsonl of a run"
    )


@pytest.mark.parametrize("damage", ["list", "key missing", "key too many", "no JSON"])
def test_a_damaged_state_is_refused_and_attaching_sends_all_again(log, damage):
    run = a_run(log)
    run.sent = 7
    run.save()
    path = sent_path(log.path)
    state = json.loads(path.read_text())
    damaged = {
        "list": "[]",
        "key missing": json.dumps({k: v for k, v in state.items() if k != "sent"}),
        "key too many": json.dumps({**state, "more": 1}),
        "no JSON": "{",
    }
    path.write_text(damaged[damage])
    with pytest.raises(IntegrityError, match=r"events\.jsonl\.sent"):
        restore(log.path)
    assert a_run(log).sent == 0


def test_a_file_that_is_gone_is_warned_of_and_left_out(server, tmp_path, caplog):
    (tmp_path / "b.txt").write_text("b")
    run = a_run()
    run.files = [(str(tmp_path / "a.txt"), None), (str(tmp_path / "b.txt"), "x")]
    deliver(server, run)
    assert server.runs["id of u"]["files"] == [("b.txt", "x")]
    assert [r.getMessage() for r in caplog.records] == [
        f"tracking: {tmp_path}/a.txt is gone and was not stored"
    ]


def test_files_that_wait_are_found_where_the_log_is_now(log: EventLog, tmp_path: Path) -> None:
    log.append({"epoch": 0, "metrics": {}})
    run = a_run(log)
    run.files = [(str(tmp_path / "sub" / "x.json"), None), ("/elsewhere/y", "folder")]
    run.save()
    (tmp_path / "moved").mkdir()
    for path in (log.path, sent_path(log.path)):
        path.rename(tmp_path / "moved" / path.name)
    found = restore(tmp_path / "moved" / log.path.name)
    assert found.files == [
        (str(tmp_path / "moved" / "sub" / "x.json"), None), ("/elsewhere/y", "folder")
    ]  # fmt: skip
