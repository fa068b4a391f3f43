"""The event log: appended whole, read as written, whatever kills the writer."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.tracking.events import EventLog, events_after, learning_curves, read_events
from workloads.errors import IntegrityError, ResourceError

ROOT = Path(__file__).resolve().parents[3]


def test_events_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "events.jsonl"
    assert read_events(path) == []
    log = EventLog(path)
    log.append({"epoch": 1, "metrics": {"loss": 0.5}})
    log.append({"note": "naïve\nnew line", "time_ms": 7})
    first, second = read_events(path)
    assert first["metrics"] == {"loss": 0.5}
    assert abs(first["time_ms"] - time.time() * 1000) < 60_000
    assert second == {"note": "naïve\nnew line", "time_ms": 7}


def test_numbers_of_any_library_and_nan_are_kept(tmp_path: Path) -> None:
    import numpy as np

    log = EventLog(tmp_path / "events.jsonl")
    log.append({"metrics": {"a": np.float32(0.5), "b": float("nan"), "c": np.int64(3)}})
    metrics = read_events(log.path)[0]["metrics"]
    assert metrics["a"] == 0.5
    assert metrics["b"] != metrics["b"]
    assert metrics["c"] == 3


def test_each_line_is_json_though_a_loss_is_none(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append({"metrics": {"a": math.inf, "b": -math.inf, "c": math.nan}, "time_ms": 7})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    (line,) = log.path.read_text().splitlines()
    assert json.loads(line, parse_constant=refuse)["metrics"] == {
        "a": "Infinity",
        "b": "-Infinity",
        "c": "NaN",
    }
    (event,) = read_events(log.path)
    assert (event["metrics"]["a"], event["metrics"]["b"]) == (math.inf, -math.inf)
    assert math.isnan(event["metrics"]["c"])


@pytest.mark.parametrize("torn", [b"", b"{", b'{"epoch": 2, "met', b"x" * 10_000])
def test_a_torn_last_line_is_left_out_and_cut_by_the_next_append(
    tmp_path: Path, torn: bytes
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append({"epoch": 1})
    with log.path.open("ab") as stream:
        stream.write(torn)
    assert [e["epoch"] for e in read_events(log.path)] == [1]
    log.append({"epoch": 2})
    assert [e["epoch"] for e in read_events(log.path)] == [1, 2]


def test_a_log_of_one_torn_line_begins_anew(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.path.write_bytes(b'{"epoch"')
    log.append({"epoch": 1})
    assert [e["epoch"] for e in read_events(log.path)] == [1]


def test_what_was_appended_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    code = (
        "import os, signal, sys, pathlib\n"
        "from orchestrator.tracking.events import EventLog\n"
        "log = EventLog(pathlib.Path(sys.argv[1]))\n"
        "for epoch in range(100): log.append({'epoch': epoch})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert [e["epoch"] for e in read_events(path)] == list(range(100))


@pytest.mark.parametrize("line", [b"not json", b"[1]", b"\xff"])
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"epoch": 1}\n' + line + b'\n{"epoch": 2}\n')
    with pytest.raises(IntegrityError, match=r"events\.jsonl: not an event"):
        read_events(path)


def test_a_full_disk_is_said_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append({"epoch": 1})
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    with pytest.raises(ResourceError, match="disk full"):
        log.append({"epoch": 2})
    assert log.path.read_bytes().endswith(b"}\n")


def test_events_after_a_position(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for epoch in range(3):
        log.append({"epoch": epoch})
    positions = [position for _, position in events_after(log.path, 0)]
    assert positions[-1] == log.path.stat().st_size
    assert [e["epoch"] for e, _ in events_after(log.path, positions[0])] == [1, 2]
    assert list(events_after(log.path, positions[-1])) == []
    # behind the end: the log was made anew
    assert len(list(events_after(log.path, positions[-1] + 1))) == 3


some_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
some_events = st.lists(
    st.dictionaries(st.text(max_size=9), some_json, max_size=3).map(lambda e: {**e, "time_ms": 7}),
    max_size=4,
)


def written(events: list[dict], folder: Path) -> EventLog:
    log = EventLog(folder / "events.jsonl")
    for event in events:
        log.append(event)
    return log


@given(some_events, st.data())
def test_a_log_that_is_cut_anywhere_goes_on_after_its_last_whole_event(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict], data: st.DataObject
) -> None:
    log = written(events, tmp_path_factory.mktemp("log"))
    whole = log.path.read_bytes() if events else b""
    cut = data.draw(st.integers(0, len(whole)))
    log.path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    assert read_events(log.path) == events[:kept]
    log.append({"time_ms": 8})
    assert read_events(log.path) == [*events[:kept], {"time_ms": 8}]


@given(some_events, some_events)
def test_whoever_reads_on_from_a_position_reads_each_event_once(
    tmp_path_factory: pytest.TempPathFactory, before: list[dict], later: list[dict]
) -> None:
    log = written(before, tmp_path_factory.mktemp("log"))
    first = list(events_after(log.path, 0))
    position = first[-1][1] if first else 0
    for event in later:
        log.append(event)
    both = [*first, *events_after(log.path, position)]
    assert [event for event, _ in both] == before + later


def test_a_torn_line_is_not_passed_over_when_it_is_completed_later(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"epoch": 1}\n{"epo')
    ((_, position),) = events_after(path, 0)
    assert position == len(b'{"epoch": 1}\n')
    with path.open("ab") as stream:
        stream.write(b'ch": 2}\n')
    assert [e["epoch"] for e, _ in events_after(path, position)] == [2]


def test_curves_are_by_epoch_and_the_last_report_of_an_epoch_counts(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for epoch, loss in ((1, 3.0), (2, 2.5), (3, 2.25), (2, 2.0)):  # resumed after epoch 1
        log.append({"epoch": epoch, "metrics": {"loss": loss}})
    assert learning_curves(log.path) == [
        {"epoch": 1, "loss": 3.0},
        {"epoch": 2, "loss": 2.0},
        {"epoch": 3, "loss": 2.25},
    ]
    assert learning_curves(tmp_path / "none.jsonl") == []
