"""The end of a Ray that stays: at once when nothing runs on it, with patience for a job."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from commands import wsol

from clusters.processes import Leader
from clusters.ray_command import STOP_S
from clusters.state import STATE_VARIABLE, read_state, state_folder, write_state


@pytest.mark.parametrize(
    ("title", "patience_s"), [("ray::_StatsActor", 3.0), ("ray::JobSupervisor", STOP_S)]
)
def test_only_a_job_is_waited_for(
    title: str, patience_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Actors that nobody needs any more keep Ray from ending for half a minute."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    words = [sys.executable, "-c", "import time; time.sleep(600)", title]
    leader = Leader.start(words, os.environ, tmp_path / "log")
    write_state(state_folder("local") / "local.json", leader.state())
    end, patience = Leader.end, []
    monkeypatch.setattr(Leader, "end", lambda self, s: patience.append(s) or end(self, s))
    assert wsol("cluster", "down", "local").code == 0
    assert patience == [patience_s]
    assert not leader.runs()
    assert read_state(state_folder("local") / "local.json") is None
