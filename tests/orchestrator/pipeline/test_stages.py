"""A recorded stage is never run again; a failed one leaves no record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.annotate.annotate import AnnotateResult
from orchestrator.config.workspace import PipelinePaths, Workspace
from orchestrator.data.make import MadeData
from orchestrator.evaluate import EvaluateResult
from orchestrator.ingest import IngestResult
from orchestrator.pages.pipeline.outcome import Champion, Served
from orchestrator.pipeline.reproduce import Line, Measured
from orchestrator.pipeline.run import Report
from orchestrator.pipeline.stages import Stages
from orchestrator.tracking.registry import ModelVersion
from orchestrator.train.train import TrainResult
from orchestrator.tune.stored_maps import Tuned
from workloads.localization.cutoffs import Cutoffs


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


RECORDS = (
    MadeData("digits", Path("raw"), {"train": 2}),
    IngestResult(Path("shards"), "d" * 64, 3, 2, 1),
    TrainResult("run", "recipe", Path("model"), "d" * 64, {"epoch": 1, "loss": 0.1 + 0.2}, None),
    Tuned(0.3, 0.0, 0.5, (0.1, 0.2), {"box_f1": 1 / 3}),
    ModelVersion("name", 3, "d" * 64, "models:/name/3", None, "source"),
    Champion("name", 3, "d" * 64, "champion", "recipe", "box_f1", {"recipe": 0.5}),
    EvaluateResult(
        "m" * 64, "any", "any", "s" * 64, "test", Cutoffs(class_cutoffs=(0.1,)), 5, ("a",),
        {"box_f1": {"value": None, "interval": [0.1, 0.2]}}, Path("predictions"), Path("out"),
    ),
    AnnotateResult(
        Path("out"), Path("images"), "m" * 64, 3, 2, 1, 0, 7, {"cat": 7}, [0, 7], 1.5,
        {"read": 0.5},
        {"coco": Path("a.json")}, Path("quarantine.jsonl"),
    ),
    Served("a.jpg", {"detections": [{"box": [0.0, 1.0, 2.0, 3.0]}]}),
    Report(Path("report.html")),
    Measured((Line("GT-known", 1.5, (1.0, 2.0), 2.5, -1.0), Line("top-1", None, None, 3, None))),
)  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_result_of_a_stage_is_its_own_record(tmp_path: Path, record: object) -> None:
    def again() -> object:
        raise AssertionError("run again")

    for work in (lambda: record, again):
        stages = Stages(PipelinePaths(tmp_path), lambda: None)
        assert stages.run("one", type(record), work) == record


def test_a_value_without_any_case_comes_back(tmp_path: Path) -> None:
    made = Tuned(0.3, 0.0, 0.5, (), {"box_f1": math.nan, "mean_ap": 0.5})
    for work in (lambda: made, lambda: made):
        stages = Stages(PipelinePaths(tmp_path), lambda: None)
        found = stages.run("one", Tuned, work).values
        assert math.isnan(found["box_f1"])
        assert found["mean_ap"] == 0.5


def test_a_record_names_the_files_of_a_workspace_that_moved(tmp_path: Path, calls: Calls) -> None:
    made = Answer(1, tmp_path / "old" / "shards", {}, (str(tmp_path / "elsewhere"),))
    Stages(Workspace(tmp_path / "old").pipeline("demo"), calls.prepare).run(
        "one", Answer, lambda: made
    )
    (tmp_path / "old").rename(tmp_path / "new")
    moved = Stages(Workspace(tmp_path / "new").pipeline("demo"), calls.prepare)
    found = moved.run("one", Answer, calls.work)
    assert found == Answer(1, tmp_path / "new" / "shards", {}, (str(tmp_path / "elsewhere"),))
