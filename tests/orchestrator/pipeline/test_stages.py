"""A recorded stage is never run again; a failed one leaves no record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.config.workspace import PipelinePaths
from orchestrator.pipeline.stages import Stages


@dataclass(frozen=True, slots=True)
class Answer:
    """As results of verbs are."""

    number: int
    folder: Path
    values: dict[str, float]
    names: tuple[str, ...]


ANSWER = Answer(42, Path("some where"), {"box_f1": 0.1 + 0.2}, ("a", "b"))


class Calls:
    """Counts what was run."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def prepare(self) -> None:
        self.made.append("prepare")

    def work(self) -> Answer:
        self.made.append("work")
        return ANSWER


@pytest.fixture
def calls() -> Calls:
    return Calls()


def stages(tmp_path: Path, calls: Calls) -> Stages:
    return Stages(PipelinePaths(tmp_path / "pipeline"), calls.prepare)


def test_a_stage_runs_once_and_is_remembered(tmp_path: Path, calls: Calls) -> None:
    first = stages(tmp_path, calls)
    assert first.run("one", Answer, calls.work) == ANSWER
    again = stages(tmp_path, calls)
    assert again.run("one", Answer, calls.work) == ANSWER
    assert calls.made == ["prepare", "work"]
    assert again.seconds == first.seconds


def test_preparation_happens_once_and_only_when_work_is_left(tmp_path: Path, calls: Calls) -> None:
    first = stages(tmp_path, calls)
    first.run("one", Answer, calls.work)
    first.run("two", Answer, calls.work)
    assert calls.made.count("prepare") == 1


def test_a_failed_stage_is_run_again(tmp_path: Path, calls: Calls) -> None:
    def fail() -> Answer:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        stages(tmp_path, calls).run("one", Answer, fail)
    assert stages(tmp_path, calls).run("one", Answer, calls.work) == ANSWER


def test_it_says_what_it_does_on_stderr_only(
    tmp_path: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    stages(tmp_path, calls).run("one", Answer, calls.work)
    stages(tmp_path, calls).run("one", Answer, calls.work)
    out, err = capsys.readouterr()
    assert out == ""
    assert "one ..." in err
    assert "one: done before" in err
