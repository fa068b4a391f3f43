"""What verbs share: settings before and behind the verb, names of runs, ends with code 3."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestrator.cli.common import champion, exit_if_quarantined, report, run_name
from orchestrator.cli.main import app
from orchestrator.cli.output import Output
from orchestrator.config.settings import Settings
from workloads.errors import ConfigError, NotFound


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(f"{name}.yaml").write_text(f"pipeline: {{name: {name}}}\nserve: {{port: 9001}}\n")


def shown(*words: str) -> dict:
    done = CliRunner().invoke(app, [*words, "-o", "json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("before", "behind", "name"),
    [
        ([], [], "demo"),
        (["--config", "one.yaml"], [], "one"),
        ([], ["--config", "two.yaml"], "two"),
        (["--config", "one.yaml"], ["--config", "two.yaml"], "two"),
        (["--set", "pipeline.name=a"], [], "a"),
        (["--set", "pipeline.name=a"], ["--set", "pipeline.name=b"], "b"),
        (["--set", "pipeline.name=a"], ["--config", "two.yaml"], "a"),
        ([], ["--set", "pipeline.name=a", "--set", "pipeline.name=b"], "b"),
    ],
)
def test_what_stands_behind_a_verb_wins_and_settings_win_over_files(before, behind, name):
    assert shown(*before, "config", "show", *behind)["pipeline"]["name"] == name


def test_options_before_and_behind_add_up():
    before = ["--config", "one.yaml", "--set", "tune.alphas=7"]
    found = shown(*before, "config", "show", "--set", "train.epochs=3")
    assert found["serve"]["port"] == 9001
    assert (found["tune"]["alphas"], found["train"]["epochs"]) == (7, 3)


def test_run_and_serve_have_words_of_their_own_that_win(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "orchestrator.serve.serve.serve", lambda _, m, s, **__: asked.append((m, s))
    )
    words = ["--set", "serve.port=9002", "serve", "--set", "serve.port=9003", "--port", "9004"]
    done = CliRunner().invoke(app, [*words, "--model", "m/2"], catch_exceptions=False)
    assert done.exit_code == 0
    ((model, serving),) = asked
    assert (model, serving.port) == ("m/2", 9004)


@pytest.mark.parametrize(
    ("words", "kind", "line"),
    [
        (["--config", "no.yaml"], NotFound, "no.yaml: no such configuration file"),
        (["--set", "tune"], ConfigError, "--set tune: write it as key.path=value"),
        (["--set", "cluster=a", "--set", "cluster.x=1"], ConfigError,
         "--set cluster.x=1: 'cluster' holds a value, not keys"),
        (["--set", "tune.alphas=["], ConfigError, "--set tune.alphas=[: '[' is not a YAML value"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_wherever_they_stand(words, kind, line):
    for order in (["config", "show", *words], [*words, "config", "show"]):
        with pytest.raises(kind) as caught:
            CliRunner().invoke(app, order, catch_exceptions=False)
        assert str(caught.value) == line


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_a_good_name_is_kept_as_it_is(name):
    assert run_name(name) == name


@given(st.text(max_size=70))
def test_any_name_that_is_taken_is_one_folder_below_the_runs(text):
    name = ""
    with suppress(ConfigError):
        name = run_name(text)
    assert not name or (Path("runs") / name).resolve().parent == Path("runs").resolve()


def test_a_wrong_name_is_said_with_what_is_allowed():
    with pytest.raises(ConfigError) as caught:
        run_name("../up")
    assert str(caught.value).startswith("run: name: ")
    assert "'../up'" in str(caught.value)


def test_the_champion_is_that_of_the_settings():
    settings = Settings.model_validate({"registry": {"model": "owls", "alias": "best"}})
    assert champion(settings) == "owls@best"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"folder": "shards"}, "shards/quarantine.jsonl"),
        ({"out": "boxes"}, "boxes/quarantine.jsonl"),
        ({"folder": "shards", "out": "boxes"}, "shards/quarantine.jsonl"),
        ({"quarantine_lists": [], "out": "boxes"}, "boxes/quarantine.jsonl"),
        ({"quarantine_lists": ["a", "b"], "out": "boxes"}, "a, b"),
        ({}, "quarantine.jsonl"),
    ],
)
def test_where_the_reasons_are(facts, said, capsys):
    with pytest.raises(typer.Exit):
        exit_if_quarantined({"quarantined": 12, **facts})
    assert capsys.readouterr().err == (
        f"wsol: 12 inputs were quarantined, the rest is done; reasons: {said}\n"
    )


@pytest.mark.parametrize("facts", [{}, {"quarantined": 0}, {"quarantined": None}])
def test_without_quarantine_a_verb_ends_well(facts, capsys):
    exit_if_quarantined(facts)
    assert capsys.readouterr() == ("", "")


@dataclass(frozen=True)
class Result:
    folder: Path
    trial_count: int
    scores: tuple[float, ...] = (0.25, float("nan"))
    note: str | None = None


def test_json_has_all_fields_and_a_table_those_for_people(capsys):
    result = Result(Path("a [b]"), 3)
    report(result, Output.JSON, hidden=("scores",))
    assert json.loads(capsys.readouterr().out) == {
        "folder": "a [b]",
        "trial_count": 3,
        "scores": [0.25, None],
        "note": None,
    }
    report(result, Output.TABLE, hidden=("scores",))
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [[c.strip() for c in row] for row in rows] == [
        ["folder", "a [b]"],
        ["trial", "count  3"],
        ["note", "–"],
    ]


def test_the_settings_that_are_shown_give_the_same_settings_again():
    words = ["--set", "tune.alphas=7", "--set", "pipeline.recipes=[digits-spn-tiny]"]
    done = CliRunner().invoke(app, ["config", "show", *words], catch_exceptions=False)
    Path("again.yaml").write_text(done.stdout)
    assert yaml.safe_load(done.stdout) == shown("config", "show", *words)
    assert shown("config", "show", "--config", "again.yaml") == shown("config", "show", *words)
