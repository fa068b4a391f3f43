"""One process at a time works in a folder; a dead one blocks nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.engine import leases
from orchestrator.engine.leases import LEASE, Holder, lease
from workloads.errors import Conflict

HOLD = """
import sys, time
from pathlib import Path
from orchestrator.engine.leases import lease

with lease(Path(sys.argv[1]), "train"):
    print("held", flush=True)
    time.sleep(60)
"""
RACE = """
import sys, time
from pathlib import Path
from orchestrator.engine.leases import lease
from workloads.errors import Conflict

folder, start = Path(sys.argv[1]), float(sys.argv[2])
time.sleep(max(0, start - time.time()))
try:
    with lease(folder, "train"):
        print("won", flush=True)
        time.sleep(1.5)
except Conflict:
    print("refused", flush=True)
"""


def start(code: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def held(tmp_path: Path):
    with start(HOLD, str(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_at_once(held: subprocess.Popen[str], tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        pytest.raises(Conflict, match=rf"'wsol train' works there \(process {held.pid} "),
        lease(tmp_path, "train"),
    ):
        pytest.fail("two hold it")
    assert time.monotonic() - began < 5  # not the time after which a lease is stale


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_holder_blocks_nobody(
    held: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    os.kill(held.pid, number)
    held.wait()
    assert (tmp_path / LEASE).exists()
    with lease(tmp_path, "train"):
        assert json.loads((tmp_path / LEASE).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LEASE).exists()


def test_of_many_that_start_together_one_gets_it(tmp_path: Path) -> None:
    """Over a stale lease, which is the harder case: all of them see that it is stale."""
    gone = replace(Holder.of_this_process("train"), pid=2**22 + 1)
    (tmp_path / LEASE).write_text(gone.text)
    moment = str(time.time() + 3.0)
    racers = [start(RACE, str(tmp_path), moment) for _ in range(4)]
    said = [racer.communicate(timeout=60)[0] for racer in racers]
    assert sorted(said) == ["refused\n"] * 3 + ["won\n"]


def test_a_holder_elsewhere_counts_until_it_was_silent_for_long(tmp_path: Path) -> None:
    other = replace(Holder.of_this_process("annotate"), machine="another/boot", host="node-7")
    (tmp_path / LEASE).write_text(other.text)
    with (
        pytest.raises(Conflict, match=r"'wsol annotate' works there \(.* on node-7"),
        lease(tmp_path, "annotate"),
    ):
        pytest.fail("two hold it")
    silent = replace(other, beat=time.time() - leases.STALE_S - 1)
    (tmp_path / LEASE).write_text(silent.text)
    with lease(tmp_path, "annotate"):
        pass


def test_a_pid_that_is_used_again_is_not_the_holder(tmp_path: Path) -> None:
    earlier = replace(Holder.of_this_process("train"), started=1.0)
    (tmp_path / LEASE).write_text(earlier.text)
    with lease(tmp_path, "train"):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_half_a_lease_is_nobodys(tmp_path: Path, text: str) -> None:
    (tmp_path / LEASE).write_text(text)
    with lease(tmp_path, "train"):
        pass


def test_it_is_renewed_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    with lease(tmp_path, "train"):
        first = json.loads((tmp_path / LEASE).read_text())["beat"]
        deadline = time.monotonic() + 10
        while json.loads((tmp_path / LEASE).read_text())["beat"] == first:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["heeded", "ignored"])
def ctrl_c(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a script starts with `&` ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_who_lost_it_stops_and_leaves_it_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    other = replace(Holder.of_this_process("train"), token="another")
    with pytest.raises(Conflict, match="took over"), lease(tmp_path, "train"):
        (tmp_path / LEASE).write_text(other.text)
        for _ in range(200):
            time.sleep(0.05)
        pytest.fail("it went on")
    assert (tmp_path / LEASE).read_text() == other.text


def test_it_is_given_back_after_an_error_and_no_thread_stays(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="no"), lease(tmp_path, "train"):
        raise ValueError("no")
    assert not (tmp_path / LEASE).exists()
    assert threading.active_count() == before
    assert [path.name for path in tmp_path.iterdir()] == []
