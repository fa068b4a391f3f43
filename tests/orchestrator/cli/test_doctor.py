"""`wsol doctor`: its table, its JSON, and the code of what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import orchestrator.doctor as module
from orchestrator.cli.doctor import _table
from orchestrator.cli.main import app
from orchestrator.cli.output import plain
from orchestrator.doctor import Check

OK = Check("python", "ok", "3.11.7")
WARN = Check("memory", "warn", "3.0 GB free", "close other programs")
FAIL = Check("disk", "fail", "0.1 GB free", "remove something")


@pytest.fixture
def doctor(monkeypatch):
    asked: list[tuple[Any, ...]] = []

    def call(*checks: Check, before: tuple[str, ...] = (), words: tuple[str, ...] = ()) -> Any:
        def examine(*arguments: Any) -> list[Check]:
            asked.append(arguments)
            return list(checks)

        monkeypatch.setattr(module, "examine", examine)
        every = [*before, "doctor", *words]
        return CliRunner().invoke(app, every, catch_exceptions=False), asked

    return call


@pytest.mark.parametrize(
    ("checks", "code"), [((OK,), 0), ((OK, WARN), 0), ((WARN, FAIL), 7), ((FAIL,), 7), ((), 0)]
)
def test_only_what_fails_ends_with_7(doctor, checks, code):
    done, _ = doctor(*checks, words=("-o", "json"))
    assert done.exit_code == code
    found = json.loads(done.stdout)
    assert found["ok"] is (code == 0)
    assert [c["status"] for c in found["checks"]] == [c.status for c in checks]


def test_the_json_has_what_to_do_or_null(doctor):
    done, _ = doctor(OK, FAIL, words=("-o", "json"))
    assert json.loads(done.stdout)["checks"] == [
        {"name": "python", "status": "ok", "detail": "3.11.7", "fix": None},
        {"name": "disk", "status": "fail", "detail": "0.1 GB free", "fix": "remove something"},
    ]


def test_people_see_a_row_each(doctor):
    done, _ = doctor(OK, WARN, FAIL)
    rows = [[c.strip() for c in r.split("  ") if c.strip()] for r in done.stdout.splitlines()]
    assert rows[0] == ["check", "status", "found", "what to do"]
    assert rows[2:] == [
        ["python", "ok", "3.11.7"],
        ["memory", "warn", "3.0 GB free", "close other programs"],
        ["disk", "fail", "0.1 GB free", "remove something"],
    ]


def test_what_needs_a_look_stands_out():
    assert [row.style for row in _table(plain([OK, WARN, FAIL])).rows] == ["", "yellow", "bold red"]


def test_settings_before_and_behind_the_verb_are_examined(doctor):
    _, asked = doctor(before=("--config", "a.yaml", "--set", "x=1"), words=("--set", "y=2"))
    doctor(before=("--config", "a.yaml"), words=("--config", "b.yaml"))
    doctor()
    assert asked == [
        (Path("a.yaml"), ("x=1", "y=2")),
        (Path("b.yaml"), ()),
        (None, ()),
    ]
