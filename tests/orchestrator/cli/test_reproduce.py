"""`wsol reproduce`: our numbers beside the paper's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import orchestrator.pipeline.reproduce as module
from orchestrator.cli.main import app
from orchestrator.pipeline.reproduce import Line, Reproduction
from workloads.errors import ConfigError

LINES = (
    Line("loc_error top-1", 43.456, (41.2, 45.678), 43.6, -0.144),
    Line("loc_error top-5", None, None, 39.0, None),
)

MET = {"start weights": "a for b"}


def reproduction(comparable: bool) -> Reproduction:
    return Reproduction(
        "r", "digits", "smoke", comparable, LINES, Path("made"), {"train": 2.5}, MET
    )


@pytest.fixture
def reproduce(monkeypatch):
    called: list[tuple[Any, ...]] = []

    def call(*words: str, comparable: bool = True) -> Any:
        def work(_: Any, *arguments: Any) -> Reproduction:
            called.append(arguments)
            return reproduction(comparable)

        monkeypatch.setattr(module, "reproduce", work)
        done = CliRunner().invoke(app, ["reproduce", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done, called

    return call


def test_the_words_are_handed_on(reproduce):
    _, called = reproduce("r", "--data", "in")
    reproduce("r", "--data", "digits", "--scale", "smoke", "--initial", "m", "--initial", "head=h")
    assert called == [
        ("r", "in", "full", {}),
        ("r", "digits", "smoke", {"backbone": "m", "head": "h"}),
    ]


def test_the_json_keeps_every_digit(reproduce):
    done, _ = reproduce("r", "--data", "in", "-o", "json")
    found = json.loads(done.stdout)
    assert found["lines"][0] == {
        "what": "loc_error top-1",
        "ours": 43.456,
        "interval": [41.2, 45.678],
        "paper": 43.6,
        "difference": -0.144,
    }
    assert found["lines"][1]["ours"] is None
    assert found["deviations"] == MET
    assert (found["folder"], found["seconds"]) == ("made", {"train": 2.5})


def test_the_table_has_two_decimals_and_dashes(reproduce):
    done, _ = reproduce("r", "--data", "in")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    cells = [[c.strip() for c in line.split("  ") if c.strip()] for line in lines]
    assert cells[0] == ["number (%)", "ours", "interval", "paper", "difference"]
    assert cells[2] == ["loc_error top-1", "43.46", "41.20 to 45.68", "43.60", "-0.14"]
    assert cells[3] == ["loc_error top-5", "–", "–", "39.00", "–"]
    assert ["folder", "made"] in cells
    assert ["start weights", "a for b"] in cells
    assert not any("comparable" in line for line in lines)


def test_numbers_of_other_data_are_said_not_to_compare(reproduce):
    done, _ = reproduce("r", "--data", "digits", comparable=False)
    assert "no: the paper's numbers are those of its own data set" in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["--data", "digits", "--scale", "smok"],
            "unknown scale 'smok'; did you mean 'smoke'? (allowed: full, smoke)",
        ),
        (
            ["--data", "in", "--scale", "smoke"],
            "--scale smoke runs on made digits; use --data digits",
        ),
    ],
)
def test_a_wrong_scale(words, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        CliRunner().invoke(app, ["reproduce", "digits-cam-tiny", *words], catch_exceptions=False)
    assert str(caught.value) == line
    assert list(tmp_path.iterdir()) == []
