"""`wsol cluster up local`: a Ray that stays, and goes without taking anything else along."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from commands import wsol

from clusters.base import JOB_SLOT
from clusters.cluster import load_cluster
from clusters.processes import Leader
from clusters.state import STATE_VARIABLE, read_state, state_folder
from clusters.web import ask


@pytest.fixture
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    yield
    wsol("cluster", "down", "local")  # whatever the test found


def leader() -> Leader:
    found = Leader.of(read_state(state_folder("local") / "local.json"))
    assert found is not None
    return found


def code_of(address: str, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.long  # a Ray that stays is in CI, too: test_jobs.py
def test_a_ray_that_stays_is_found_again_and_ends_alone(own_places: None, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        try:
            comes_and_goes(tmp_path)
            assert bystander.poll() is None
        finally:
            bystander.kill()


def comes_and_goes(tmp_path: Path) -> None:
    first = wsol("cluster", "up", "local", "-o", "json")
    up, before = first.answer(), leader()
    assert (up["state"], up["nodes"], up["resources"][JOB_SLOT]) == ("up", 1, 1)
    assert f"up at {up['address']}" in first.err

    # Its token is a file of its user's; nobody gets in without it.
    token = (tmp_path / "token").read_text()
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    answers = [code_of(f"{up['address']}/api/jobs/", t) for t in (token, None, "wrong")]
    assert answers == [200, 401, 403]
    assert "refuses this token" in ask(up["address"], "wrong").problem
    assert load_cluster("local").token() == token

    # A second one is not started.
    again = wsol("cluster", "up", "local", "-o", "json")
    assert again.answer()["address"] == up["address"]
    assert "is up already" in again.err
    assert leader() == before
    assert wsol("cluster", "status", "local").code == 0

    # Killed: its remains are recognised, and ended.
    remains = [p.pid for p in before.members()]
    os.kill(before.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(before.pid)], timeout=5)
    status = wsol("cluster", "status", "local", "-o", "json").answer(8)
    assert status["state"] == "down"
    assert f"process {before.pid} is gone" in status["reason"]
    assert "wsol cluster up local" in wsol("cluster", "status").out

    assert "is down" in wsol("cluster", "down", "local").said(0)
    assert not before.members()
    assert not [p for p in remains if psutil.pid_exists(p) and not is_dead(p)]
    assert not list(state_folder("local").glob("*.json"))
    assert "is down already" in wsol("cluster", "down", "local").said(0)


def is_dead(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
