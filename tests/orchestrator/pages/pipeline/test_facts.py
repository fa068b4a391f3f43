"""Facts of a report: machine, stages, the served answer, inputs left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_shards import made_record, plain_image, write_shards

from orchestrator.config.settings import Settings
from orchestrator.pages.panels import Box
from orchestrator.pages.pipeline import facts as module
from orchestrator.pages.pipeline.facts import (
    QUARANTINE_ROWS,
    duration,
    facts,
    quarantined,
    served,
    stages,
)
from orchestrator.pages.pipeline.outcome import Champion, Outcome, Served
from workloads.images.decode import ImageLimits
from workloads.records import GroundTruth
from workloads.shards.shards import Shards

WHERE = {
    "cpus": 4, "gpu": None, "time": "2024-05-06T07:08:09+00:00", "python": "3.12.1",
    "packages": {"wsol": "1.2", "ray": None, "torch": "2.5"},
    "git_commit": "0123456789abcdef", "git_dirty": False,
}  # fmt: skip
ANSWER = {
    "detections": [{"class": "cät", "score": 0.755, "box": [10.0, 0.0, 20.0, 15.0], "label": 0}]
}


def outcome(folder: Path, answer: dict[str, Any] = ANSWER) -> Outcome:
    champion = Champion("wsol", 3, "d" * 64, "champion", "a", "box_f1", {"a": 0.5})
    return Outcome(champion, folder, 1, 1, 1, Served("one.png", answer), {}, {})


def test_a_version_is_named_by_its_number_not_by_its_alias(tmp_path: Path) -> None:
    assert outcome(tmp_path).champion.reference == "wsol/3"


def made_facts(folder: Path, monkeypatch: pytest.MonkeyPatch, **where: Any) -> list[str]:
    monkeypatch.setattr(module, "provenance", lambda: WHERE | where)
    splits = ("test", "extra", "train", "val", "train")
    made = [
        made_record(f"i{k}", GroundTruth(), split=split, image=b"")
        for k, split in enumerate(splits)
    ]
    shards = Shards.open(write_shards(folder / "s", made, ("cat", "dog")))
    found = facts(Settings(workspace=folder), shards)
    return [line for fact in found for line in (fact.value, *fact.more)]


def test_facts_of_data_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = made_facts(tmp_path, monkeypatch)
    assert "made, 2 classes" in lines
    assert "2 train · 1 val · 1 test · 1 extra" in lines  # as they are used, then the others
    assert "several labels per image" in lines
    assert "4 cores, no GPU" in lines
    assert "2024-05-06 07:08 UTC" in lines
    assert "commit 0123456789" in lines
    assert "wsol 1.2 · torch 2.5" in lines  # what is not installed is not named


def test_changed_code_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = made_facts(tmp_path, monkeypatch, git_dirty=True, gpu="H100")
    assert "commit 0123456789 with uncommitted changes" in lines
    assert "4 cores, H100" in lines


def test_installed_code_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = made_facts(tmp_path, monkeypatch, git_commit=None, git_dirty=None)
    assert "installed, not a checkout" in lines


def test_stages_are_shares_of_the_longest() -> None:
    found = stages({"ingest": 1.0, "train": 3.0, "tune": 0.0})
    assert [(s.name, s.seconds, s.width) for s in found["rows"]] == [
        ("ingest", "1.0 s", 33.3), ("train", "3.0 s", 100.0), ("tune", "0.0 s", 0.0),
    ]  # fmt: skip
    assert found["total"] == "4.0 s"


@pytest.mark.parametrize("seconds", [{}, {"ingest": 0.0}])
def test_no_time_at_all_is_no_division_by_it(seconds: dict[str, float]) -> None:
    found = stages(seconds)
    assert found["total"] == "0.0 s"
    assert [stage.width for stage in found["rows"]] == [0.0] * len(seconds)


@given(seconds=st.integers(60, 10**7))
def test_durations_add_up(seconds: int) -> None:
    words = duration(seconds).split()
    units = {"h": 3600, "min": 60, "s": 1}
    told = sum(int(n) * units[u] for n, u in zip(words[::2], words[1::2], strict=True))
    assert told == (seconds if seconds < 3600 else seconds - seconds % 60)


def test_a_duration_just_below_a_minute_reads_as_a_minute() -> None:
    assert duration(59.96) == "1 min 0 s"


def test_the_answer_is_drawn_on_its_image(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(plain_image((40, 30)))
    found = served(outcome(tmp_path), ImageLimits())
    assert found["panel"].found == (Box(25.0, 0.0, 25.0, 50.0, "cät 0.76"),)
    assert found["panel"].alt == "found: cät 0.76"
    assert json.loads(found["json"]) == ANSWER
    assert '"box": [10.0, 0.0, 20.0, 15.0]' in found["json"]  # one line
    assert "cät" in found["json"]


def test_an_answer_without_boxes(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(plain_image((40, 30)))
    found = served(outcome(tmp_path, {"detections": []}), ImageLimits())
    assert found["panel"].found == ()
    assert found["panel"].alt == "found: nothing"
    assert json.loads(found["json"]) == {"detections": []}


@pytest.mark.parametrize("data", [None, b"", b"no image"])
def test_an_image_that_changed_since_has_no_picture(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "one.png").write_bytes(data)
    found = served(outcome(tmp_path), ImageLimits())
    assert found["panel"] is None
    assert json.loads(found["json"]) == ANSWER


@given(numbers=st.lists(st.floats(-1e30, 1e30), min_size=4, max_size=4), text=st.text(max_size=9))
def test_the_answer_stays_the_same_json(numbers: list[float], text: str) -> None:
    answer = {"detections": [{"class": text, "box": numbers}], "also": [[1, 2], [], ["a"]]}
    assert json.loads(module._readable(answer)) == answer


def test_inputs_left_out_are_cut_but_counted(tmp_path: Path) -> None:
    lists = {}
    for stage, count in (("ingest", 15), ("annotate", 10)):
        lists[stage] = tmp_path / f"{stage}.jsonl"
        rows = [json.dumps({"path": f"{stage} {k}.jpg", "reason": "empty"}) for k in range(count)]
        lists[stage].write_text("\n".join(rows) + "\n")
    found = quarantined(lists)
    assert found["count"] == 25
    assert len(found["rows"]) == QUARANTINE_ROWS
    assert [row.stage for row in found["rows"]] == ["ingest"] * 15 + ["annotate"] * 5
    assert found["rows"][15].input == "annotate 0.jpg"
    assert found["lists"] == [str(path) for path in lists.values()]
    assert quarantined({}) == {"rows": [], "count": 0, "lists": []}
