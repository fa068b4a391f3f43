"""The event log: appended whole, read as written, whatever kills the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.tracking.events import EventLog, events_after, read_events
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
