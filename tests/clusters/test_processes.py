"""Processes that are found again, and those that only look like them; tunnels."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from clusters.processes import Leader
from clusters.state import changing, read_state, write_state
from clusters.tunnel import close_tunnel, free_port, open_tunnel, tunnel_address
from workloads.errors import ClusterError

# A leader with a child that leaves the others alone when it dies.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def family(tmp_path: Path) -> Any:
    leader = Leader.start([sys.executable, "-c", FAMILY], os.environ, tmp_path / "log")
    until = time.monotonic() + 30
    while not (tmp_path / "log").read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.02)
    yield leader, int((tmp_path / "log").read_text())
    leader.end(0.0)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_leader_is_found_again_by_what_was_written(family: Any, tmp_path: Path) -> None:
    leader, child = family
    write_state(tmp_path / "state.json", {**leader.state(), "more": 1})
    found = Leader.of(read_state(tmp_path / "state.json"))
    assert found == leader
    assert found.runs()
    assert {p.pid for p in found.members()} == {leader.pid, child}


@pytest.mark.parametrize(
    "change",
    [lambda leader: {"started": leader.started - 60}, lambda leader: {"boot": "another"}],
)
def test_a_number_that_was_used_again_is_another_process(family: Any, change: Any) -> None:
    """One that started at another time, or before the machine was started again."""
    leader, _ = family
    other = replace(leader, **change(leader))
    assert not other.runs()
    if other.boot != leader.boot:
        assert other.members() == []
        assert other.end(1.0)
    assert leader.runs()


def test_a_younger_session_of_the_same_number_is_not_ended(family: Any) -> None:
    leader, child = family
    younger = replace(leader, started=leader.started + 60)
    assert not younger.runs()
    assert younger.members() == []
    assert younger.end(0.0)
    assert not gone(child)


def test_what_a_killed_leader_left_is_ended(family: Any) -> None:
    leader, child = family
    os.kill(leader.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while leader.runs():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert [p.pid for p in leader.members()] == [child]
    assert leader.end(0.0)
    assert gone(child)


@pytest.mark.parametrize("state", [None, {}, {"leader": 3}, {"leader": {"pid": "x"}}])
def test_other_states_have_no_leader(state: Any) -> None:
    assert Leader.of(state) is None


def test_one_command_at_a_time_changes_a_cluster(tmp_path: Path) -> None:
    with (
        changing(tmp_path, "mine"),
        pytest.raises(ClusterError, match="'mine' is being started or ended"),
        changing(tmp_path, "mine"),
    ):
        pass
    with changing(tmp_path, "mine"):
        pass


@pytest.mark.parametrize("text", ["", "[1]", "{", "\x00"])
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert read_state(tmp_path / "x.json") is None
    assert read_state(tmp_path / "gone.json") is None


SERVER = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(600)
"""


def test_a_tunnel_is_opened_once_and_found_again(tmp_path: Path) -> None:
    ports = list[int]()

    def words(port: int) -> list[str]:
        ports.append(port)
        return [sys.executable, "-c", SERVER, str(port)]

    try:
        first = open_tunnel(tmp_path, "mine", words)
        assert first == f"http://127.0.0.1:{ports[0]}" == tunnel_address(tmp_path)
        assert open_tunnel(tmp_path, "mine", words) == first
        assert len(ports) == 1
    finally:
        close_tunnel(tmp_path)
    assert tunnel_address(tmp_path) is None
    close_tunnel(tmp_path)


def test_a_tunnel_that_ends_says_its_last_line(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import sys; print('first'); sys.exit('no route\\n')"]
    with pytest.raises(ClusterError, match=r"'mine': no way to its head: no route \(see .*log\)"):
        open_tunnel(tmp_path, "mine", lambda port: words)
    assert not list(tmp_path.glob("*.json"))


def test_a_port_that_is_taken_is_not_given() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port(taken) != taken
