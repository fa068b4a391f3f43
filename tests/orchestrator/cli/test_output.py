"""Answers: JSON alone on stdout, tables for people, exit code 3 for quarantined inputs."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer

from orchestrator.cli.common import exit_if_quarantined, report
from orchestrator.cli.output import Output, cell, emit, make_table, note, plain, working
from workloads.localization.cutoffs import Cutoffs


@dataclass(frozen=True)
class Result:
    folder: Path
    quarantined: int
    curve: tuple[float, ...] = (0.5, math.nan)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (math.inf, None),
        (Path("a") / "b", "a/b"),
        (Output.JSON, "json"),
        ({1: (2, None)}, {"1": [2, None]}),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        (Cutoffs(), Cutoffs().model_dump(mode="json")),
        (Result(Path("x"), 1), {"folder": "x", "quarantined": 1, "curve": [0.5, None]}),
    ],
)
def test_plain_values_are_json(value, expected):
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_what_has_no_json_form_is_refused():
    with pytest.raises(TypeError, match="no JSON form of object"):
        plain(object())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (0.123456, "0.1235"),
        (12, "12"),
        ([], "–"),
        ([1, "a"], "1, a"),
        ({"a": None}, "a=–"),
        ("[red]x", r"\[red]x"),
    ],
)
def test_cells(value, text):
    assert cell(value) == text


def test_json_stands_alone_even_if_a_library_prints(capsys):
    with working():
        sys.stdout.write("chatter\n")
    note("for people")
    emit({"a": 1}, Output.JSON, lambda: make_table(["a"], [[1]]))
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == "chatter\nfor people\n"


def test_tables_have_no_colour_and_no_line_breaks_in_a_pipe(capsys):
    long = "word " * 30
    emit([], Output.TABLE, lambda: make_table(["name", "n"], [["[b]x[/b]", 1], [long, 22]]))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[b]x[/b]" in out
    assert len(out.splitlines()) == 4


def test_a_result_is_reported_with_its_fields(capsys):
    report(Result(Path("shards"), 0), Output.TABLE, hidden=("curve",))
    out = capsys.readouterr().out
    assert "shards" in out
    assert "curve" not in out


@pytest.mark.parametrize(("count", "words"), [(1, "1 input was"), (2, "2 inputs were")])
def test_quarantined_inputs_end_with_code_3(count, words, capsys):
    with pytest.raises(typer.Exit) as ended:
        report(Result(Path("shards"), count), Output.JSON)
    assert ended.value.exit_code == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["quarantined"] == count
    assert words in err
    assert "shards/quarantine.jsonl" in err


def test_several_lists_are_named(capsys):
    with pytest.raises(typer.Exit):
        exit_if_quarantined({"quarantined": 5, "quarantine_lists": ["a.jsonl", "b.jsonl"]})
    assert "a.jsonl, b.jsonl" in capsys.readouterr().err
