"""A recorded stage is never run again; a failed one leaves no record."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.workspace import JobPaths
from orchestrator.pipeline.stages import Stages


class Calls:
    """Counts what was run."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def prepare(self) -> None:
        self.made.append("prepare")

    def work(self) -> dict[str, object]:
        self.made.append("work")
        return {"answer": 42}


@pytest.fixture
def calls() -> Calls:
    return Calls()


def stages(tmp_path: Path, calls: Calls) -> Stages:
    return Stages(JobPaths(tmp_path / "job"), calls.prepare)


def test_a_stage_runs_once_and_is_remembered(tmp_path: Path, calls: Calls) -> None:
    first = stages(tmp_path, calls)
    assert first.run("one", calls.work) == {"answer": 42}
    again = stages(tmp_path, calls)
    assert again.run("one", calls.work) == {"answer": 42}
    assert calls.made == ["prepare", "work"]
    assert again.seconds == first.seconds


def test_preparation_happens_once_and_only_when_work_is_left(tmp_path: Path, calls: Calls) -> None:
    first = stages(tmp_path, calls)
    first.run("one", calls.work)
    first.run("two", calls.work)
    assert calls.made.count("prepare") == 1


def test_a_failed_stage_is_run_again(tmp_path: Path, calls: Calls) -> None:
    def fail() -> dict[str, object]:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        stages(tmp_path, calls).run("one", fail)
    assert stages(tmp_path, calls).run("one", calls.work) == {"answer": 42}


def test_it_says_what_it_does_on_stderr_only(
    tmp_path: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    stages(tmp_path, calls).run("one", calls.work)
    stages(tmp_path, calls).run("one", calls.work)
    out, err = capsys.readouterr()
    assert out == ""
    assert "one ..." in err
    assert "one: done before" in err
