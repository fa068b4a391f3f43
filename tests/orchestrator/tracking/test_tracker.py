"""The event log and its way to MLflow, with a real database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands import start, wait_until
from tracked import first_experiment, history, warnings_in

from orchestrator.config.settings import Settings
from orchestrator.tracking.events import EventLog, read_events
from orchestrator.tracking.mlflow_store import MlflowStore, tag_of
from orchestrator.tracking.tracked_run import sent_path
from orchestrator.tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parents[3]


def test_a_run_is_stored_with_everything(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    report = tmp_path / "report.html"
    report.write_text("<p>")
    folder = tmp_path / "plots"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    tracker = Tracker(settings)
    run = tracker.start_run(
        "n ame", {"train": {"lr": 0.1}, "none": ""}, {"wsol.run": uid, "wsol.recipe": "r"}
    )
    with tracker.follow(run, log.path):
        log.append({"epoch": 1, "metrics": {"loss": 0.5, "AP@0.5": 0.25, "text": "no number"}})
        log.append({"note": "without metrics"})
        log.append({"epoch": 2, "metrics": {"loss": float("nan")}})
    log.append({"metrics": {"test": 1}})  # after the block, before the end
    tracker.log_artifact(run, report)
    tracker.log_artifact(run, folder, "plots")
    tracker.close(run, "FINISHED")

    assert run.is_sent()
    stored = store.client.get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "n ame"
    assert stored.info.end_time >= stored.info.start_time == run.started_ms
    assert stored.data.params == {"train.lr": "0.1", "none": ""}
    assert stored.data.tags["wsol.run"] == tag_of(uid)
    assert stored.data.tags["wsol.recipe"] == "r"
    assert history(store, run.run_id, "AP_0.5") == [(1, 0.25)]
    assert [step for step, _ in history(store, run.run_id, "loss")] == [1, 2]
    assert history(store, run.run_id, "test") == [(0, 1.0)]
    first = store.client.get_metric_history(run.run_id, "loss")[0]
    assert first.timestamp == read_events(log.path)[0]["time_ms"]
    names = {f.path for f in store.client.list_artifacts(run.run_id)}
    assert names == {"report.html", "plots"}
    artifacts = settings.workspace / "mlflow-artifacts"
    assert len(list(artifacts.rglob("report.html"))) == 1


def test_the_courier_sends_while_the_work_goes_on(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("orchestrator.tracking.tracker.POLL_S", 0.02)
    log = EventLog(tmp_path / "events.jsonl")
    tracker = Tracker(settings)
    run = tracker.start_run("live", {}, {"wsol.run": uid})
    tracker.follow(run, log.path)
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    for _ in range(500):
        if run.sent:
            break
        time.sleep(0.02)
    assert history(store, run.run_id, "loss") == [(1, 0.5)]
    tracker.close(run, "KILLED")
    assert store.client.get_run(run.run_id).info.status == "KILLED"


def test_the_courier_goes_home_when_all_runs_are_closed(
    settings: Settings, uid: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("orchestrator.tracking.tracker.POLL_S", 0.02)
    tracker = Tracker(settings)
    run = tracker.start_run("short", {}, {"wsol.run": uid})
    courier = tracker._courier
    assert courier is not None
    tracker.close(run, "FINISHED")
    courier.join(10)
    assert not courier.is_alive()
    tracker.log_metrics(run, {"late": 1.0})
    tracker.close(run, "FAILED")  # and comes back when there is something to do
    assert run.is_sent()


def test_the_same_tag_continues_the_same_run(
    settings: Settings, store: MlflowStore, uid: str
) -> None:
    tracker = Tracker(settings)
    first = tracker.start_run("one", {"lr": 0.1, "seed": 1}, {"wsol.run": uid})
    tracker.close(first, "FAILED")
    again = Tracker(settings).start_run("two", {"lr": 0.2, "seed": 1, "new": 3}, {"wsol.run": uid})
    assert again.run_id == first.run_id
    stored = store.client.get_run(again.run_id)
    assert stored.info.status == "RUNNING"
    assert stored.info.run_name == "two"
    assert stored.data.params == {"lr": "0.1", "seed": "1", "new": "3"}
    assert stored.data.tags["wsol.changed_params"] == "lr: 0.1 -> 0.2"
    assert tracker.start_run("three", {}, {}).run_id != first.run_id


def test_another_process_continues_where_the_last_one_stopped(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    first = Tracker(settings)
    with first.follow(first.start_run("x", {}, {"wsol.run": uid}), log.path):
        pass
    log.append({"epoch": 2, "metrics": {"loss": 0.25}})
    second = Tracker(settings)
    run = second.start_run("x", {}, {"wsol.run": uid})
    second.follow(run, log.path)
    assert 0 < run.sent <= log.path.stat().st_size
    second.close(run, "FINISHED")
    assert history(store, run.run_id, "loss") == [(1, 0.5), (2, 0.25)]


@pytest.mark.parametrize("lost", ["missing", "damaged", "of another run"])
def test_sending_again_makes_no_duplicates(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str, lost: str
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for epoch in range(3):
        log.append({"epoch": epoch, "metrics": {"loss": float(epoch), "nan": float("nan")}})
    tracker = Tracker(settings)
    run = tracker.start_run("x", {}, {"wsol.run": uid})
    tracker.follow(run, log.path)
    tracker.close(run, "FINISHED")
    state = sent_path(log.path)
    if lost == "missing":  # a crash before the position was written
        state.unlink()
    elif lost == "damaged":
        state.write_text("{")
    else:
        state.write_text(json.dumps({**json.loads(state.read_text()), "sent_to": "0" * 32}))
    again = Tracker(settings)
    assert again.sync(log.path, again.start_run("x", {}, {"wsol.run": uid}))
    for metric in ("loss", "nan"):
        assert [step for step, _ in history(store, run.run_id, metric)] == [0, 1, 2]


def test_more_metrics_than_one_call_takes(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append({"epoch": 1, "metrics": {f"m{i}": 0.5 for i in range(2500)}})
    for epoch in range(2, 400):
        log.append({"epoch": epoch, "metrics": {"a": 1.0, "b": 2.0, "c": 3.0}})
    tracker = Tracker(settings)
    run = tracker.start_run("x", {f"p{i}": i for i in range(250)}, {"wsol.run": uid})
    assert tracker.sync(log.path, run)
    stored = store.client.get_run(run.run_id).data
    assert len(stored.metrics) == 2503
    assert len(stored.params) == 250
    assert len(history(store, run.run_id, "c")) == 398


@pytest.mark.parametrize("by", ["uid", "run id"])
def test_children_are_nested(settings: Settings, store: MlflowStore, uid: str, by: str) -> None:
    tracker = Tracker(settings)
    parent = tracker.start_run("sweep", {}, {"wsol.run": uid})
    name = parent.uid if by == "uid" else parent.run_id
    children = [tracker.start_run(f"trial {i}", {}, {}, parent=name) for i in range(2)]
    tracker.log_metrics(children[0], {"box_f1": 0.5}, step=3)
    for run in [*children, parent]:
        tracker.close(run, "FINISHED")
    found = store.client.search_runs(
        [store.experiment()], f"tags.`mlflow.parentRunId` = '{parent.run_id}'"
    )
    assert {r.info.run_id for r in found} == {c.run_id for c in children}
    assert history(store, children[0].run_id, "box_f1") == [(3, 0.5)]


def test_a_child_may_be_sent_before_its_parent(
    settings: Settings, store: MlflowStore, uid: str
) -> None:
    tracker = Tracker(settings)
    child = tracker.start_run("child", {}, {}, parent=uid)
    parent = tracker.start_run("parent", {"a": 1}, {"wsol.run": uid})
    tags = store.client.get_run(child.run_id).data.tags
    assert tags["mlflow.parentRunId"] == parent.run_id
    assert store.client.get_run(parent.run_id).info.run_name == "parent"


def test_a_deleted_run_is_made_again(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    tracker = Tracker(settings)
    run = tracker.start_run("x", {}, {"wsol.run": uid})
    tracker.follow(run, log.path)
    tracker.close(run, "FINISHED")
    state = json.loads(sent_path(log.path).read_text())
    sent_path(log.path).write_text(json.dumps({**state, "run_id": "0" * 32, "ended": False}))
    store.client.delete_run(run.run_id)
    assert Tracker(settings).sync(log.path)
    again = json.loads(sent_path(log.path).read_text())["run_id"]
    assert again not in (run.run_id, "0" * 32)
    assert history(store, again, "loss") == [(1, 0.5)]
    assert store.client.get_run(again).info.status == "FINISHED"


def test_a_file_that_is_gone_does_not_hold_up_the_rest(
    settings: Settings, store: MlflowStore, tmp_path: Path, uid: str, caplog: Any
) -> None:
    tracker = Tracker(settings)
    run = tracker.start_run("x", {}, {"wsol.run": uid})
    tracker.log_artifact(run, tmp_path / "gone.html")
    tracker.close(run, "FINISHED")
    assert store.client.get_run(run.run_id).info.status == "FINISHED"
    (warning,) = warnings_in(caplog)
    assert "gone.html is gone" in warning


def test_nothing_is_printed(settings: Settings, tmp_path: Path) -> None:
    """A new database with all its migrations, in a process of its own: not a word."""
    code = (
        "import sys, pathlib\n"
        "from orchestrator.config.settings import Settings\n"
        "from orchestrator.tracking.tracker import Tracker\n"
        "tracker = Tracker(Settings(workspace=pathlib.Path(sys.argv[1])))\n"
        "run = tracker.start_run('x', {}, {})\n"
        "tracker.log_artifact(run, pathlib.Path(sys.argv[2]))\n"
        "tracker.close(run, 'FINISHED')\n"
        "assert run.is_sent()\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error::DeprecationWarning", "-c", code),
            *(str(tmp_path / "w"), __file__),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {p.name for p in tmp_path.iterdir()} == {"w"}  # no mlruns beside it


def test_killed_while_the_database_was_made_the_next_one_makes_it(tmp_path: Path) -> None:
    folder, said = tmp_path / "w", tmp_path / "said"
    process = start(first_experiment, folder, said=said)
    wait_until(lambda: bool(list(folder.glob(".mlflow.db.*/mlflow.db"))), process, said)
    process.kill()
    process.join()
    assert not (folder / "mlflow.db").exists(), "half-made"
    assert first_experiment(folder) == "1"


def test_a_database_is_made_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert first_experiment(tmp_path) == "1"
    assert (tmp_path / "mlflow.db").is_file()
