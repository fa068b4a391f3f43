"""Answers: JSON alone on stdout, tables for people, exit code 3 for quarantined inputs."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from orchestrator.cli.common import exit_if_quarantined, report
from orchestrator.cli.output import (
    Output,
    bars,
    cell,
    emit,
    facts_table,
    make_table,
    note,
    plain,
    working,
)
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
        ("[red]x", "[red]x"),
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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_has_colour_unless_it_is_not_wanted(monkeypatch, no_color, coloured):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    emit([], Output.TABLE, lambda: facts_table({"name": "x"}))
    assert ("\x1b[" in sys.stdout.getvalue()) is coloured


class Closed(io.StringIO):
    """A pipe whose reader has left."""

    def __init__(self) -> None:
        super().__init__()
        self._own = os.open(os.devnull, os.O_WRONLY)

    def write(self, _: str) -> int:
        raise BrokenPipeError

    def fileno(self) -> int:
        return self._own  # what is done to it is done to no stream of the tests


@pytest.mark.parametrize(
    "output",
    [
        Output.JSON,
        Output.TABLE,
    ],
)
def test_a_reader_that_left_ends_the_command_quietly(monkeypatch, output):
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(SystemExit) as ended:
        emit({"a": 1}, output, lambda: "a")
    assert ended.value.code == 141


def test_a_note_that_nobody_reads_stops_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Closed())
    note("for nobody")


def test_a_note_is_never_broken_or_read_as_markup(capsys):
    note("[red]" + "word " * 100)
    assert capsys.readouterr().err == "[red]" + "word " * 100 + "\n"


def test_stdout_is_back_after_work_that_failed(capsys):
    with pytest.raises(KeyError), working():
        raise KeyError
    sys.stdout.write("answer\n")
    assert capsys.readouterr() == ("answer\n", "")


def test_columns_of_numbers_alone_are_to_the_right():
    rows = [["a", 1, 1, True], ["b", 2.5, None, False]]
    table = make_table(["name", "number", "some", "truth"], rows)
    assert [c.justify for c in table.columns] == ["left", "right", "left", "left"]
    empty = make_table(["name", "number"], [])
    assert [c.justify for c in empty.columns] == ["left", "left"]
    assert empty.row_count == 0


def test_facts_stand_in_their_order_with_words_for_names(capsys):
    emit([], Output.TABLE, lambda: facts_table({"b_c": None, "a": [True, 0.5]}))
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown == [["b", "c", "–"], ["a", "yes,", "0.5"]]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(values)
def test_any_answer_is_one_value_of_strict_json(value):
    text = json.dumps(plain(value), allow_nan=False)
    assert plain(json.loads(text)) == plain(value)


@given(st.text(st.characters(exclude_categories=["C"]), max_size=20))
def test_a_cell_shows_text_as_it_is(text):
    for table in (make_table(["name"], [[text]]), facts_table({"name": text})):
        (shown,) = table.columns[-1].cells
        assert isinstance(shown, Text), "no markup"
        assert shown.plain == text


def test_bars_show_what_is_not_nothing():
    assert bars([0, 1, 50, 100]) == " ▁▄█"
    assert bars([0, 0]) == "  "
    assert bars([]) == ""
