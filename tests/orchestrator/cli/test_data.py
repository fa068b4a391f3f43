"""`wsol data make`, and the tables of `wsol data inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_shards import made_record, made_truth, write_shards
from typer.testing import CliRunner

from orchestrator.cli.main import app
from workloads.errors import ConfigError, Conflict, NotFound
from workloads.shards.quarantine import Quarantined

FEW = ["--set", "data.digits={train: 3, val: 2, test: 1}"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def invoke(*words: str) -> Any:
    done = CliRunner().invoke(app, ["data", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def rows(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.split("  ") if c.strip()] for line in text.splitlines()]


BOX = (0, (0.0, 0.0, 8.0, 8.0))


def shards_of(classes: int, reasons: int = 0) -> str:
    """Shards in which class k has k + 1 images; reason k has quarantined k + 1 of them."""
    records = [
        made_record(f"{k}-{i}", made_truth((k, BOX[1])), (16, 12))
        for k in range(classes)
        for i in range(k + 1)
    ]
    bad = [
        Quarantined(f"bad {k}-{i}", f"file {k}", ("train", "val")[k % 2], f"reason {chr(97 + k)}")
        for k in range(reasons)
        for i in range(k + 1)
    ]
    names = [f"class-{k:02}" for k in range(classes)]
    return str(write_shards(Path("shards"), records, names, quarantined=bad))


def test_up_to_twelve_classes_are_all_shown():
    shown = rows(invoke("inspect", shards_of(12)).stdout)
    head = shown.index(["All classes", "train images", "train boxes"])
    assert [row[0] for row in shown[head + 2 : head + 14]] == [f"class-{k:02}" for k in range(12)]
    assert shown[head + 13] == ["class-11", "12", "12"]


def test_of_more_classes_both_ends_are_shown():
    shown = rows(invoke("inspect", shards_of(13)).stdout)
    most = shown.index(["The 5 classes with most images", "train images", "train boxes"])
    fewest = shown.index(["The 5 with fewest", "train images", "train boxes"])
    assert shown[most + 2] == ["class-12", "13", "13"]
    assert shown[most + 6] == ["class-08", "9", "9"]
    assert [row[0] for row in shown[fewest + 2 : fewest + 7]] == [
        f"class-{k:02}" for k in (4, 3, 2, 1, 0)
    ]


def test_the_ten_most_frequent_reasons_are_shown_most_frequent_first():
    shown = rows(invoke("inspect", shards_of(1, reasons=11)).stdout)
    head = shown.index(["quarantined in", "images", "reason"])
    assert shown[head + 2 : head + 12] == [  # of both splits together
        [("val", "train")[n % 2], str(n), f"reason {chr(96 + n)}"] for n in range(11, 1, -1)
    ]
    assert shown[head + 12] == []


def test_without_quarantine_there_is_no_table_of_reasons():
    assert "quarantined in" not in invoke("inspect", shards_of(1)).stdout


def test_shards_that_are_not_there():
    with pytest.raises(NotFound, match=r"^no: no shards there"):
        invoke("inspect", "no")


def test_made_data_has_what_the_settings_say_and_is_kept():
    found = json.loads(invoke("make", *FEW, "-o", "json").stdout)
    root = Path(found["root"])
    assert found == {
        "dataset": "digits",
        "root": str(root),
        "images": {"train": 3, "val": 2, "test": 1},
    }
    assert root.is_relative_to(Path("wsol-workspace").resolve())
    made = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    shown = rows(invoke("make", *FEW).stdout)
    assert shown[0] == ["dataset", "digits"]
    assert shown[-1] == ["images", "test=1, train=3, val=2"]
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == made


def test_other_options_are_another_folder_in_the_workspace_and_a_conflict_elsewhere():
    fewer = ["--set", "data.digits={train: 2, val: 2, test: 1}"]
    folders = [json.loads(invoke("make", *o, "-o", "json").stdout)["root"] for o in (FEW, fewer)]
    assert len(set(folders)) == 2
    invoke("make", *FEW, "--out", "mine")
    with pytest.raises(Conflict) as caught:
        invoke("make", *fewer, "--out", "mine")
    assert str(caught.value) == (
        f"{Path('mine').resolve()}: holds something else; choose another --out or remove it"
    )


def test_the_layout_of_a_real_data_set_is_named_for_ingest():
    words = ["make", "digits", *FEW, "--layout", "voc2007", "--out", "mine", "-o", "json"]
    assert json.loads(invoke(*words).stdout)["dataset"] == "voc2007"
    with pytest.raises(Conflict):  # in its own layout it is something else
        invoke("make", "digits", *FEW, "--out", "mine")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["voc2007"], "unknown embedded data set 'voc2007' (allowed: digits, single-digits)"),
        (["digit"], "unknown data set 'digit'; did you mean 'digits'? (allowed: "),
        (
            ["digits", "--layout", "voc2007x"],
            "unknown data set 'voc2007x'; did you mean 'voc2007'?",
        ),
    ],
)
def test_what_cannot_be_made(words, line):
    with pytest.raises(ConfigError) as caught:
        invoke("make", *words)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert list(Path().iterdir()) == []
