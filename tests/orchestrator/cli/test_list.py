"""`wsol list`: every kind, as a table and as JSON that stands alone on stdout."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.benchmarks.registry import BENCHMARKS
from orchestrator.cli.main import app
from orchestrator.listing import KINDS, option_facts, summary_of
from workloads.errors import ConfigError
from workloads.methods.registry import METHODS
from workloads.options import Options
from workloads.recipes.load import load_recipe


def listed(kind: str) -> list[dict]:
    done = CliRunner().invoke(app, ["list", kind, "-o", "json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_has_a_name_a_summary_and_the_same_facts(kind):
    entries = listed(kind)
    assert entries
    names = [entry["name"] for entry in entries]
    assert len(set(names)) == len(names)
    for entry in entries:
        assert entry["summary"], entry["name"]
        assert "\n" not in entry["summary"]
        assert list(entry) == list(entries[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_shows_every_name(kind):
    done = CliRunner().invoke(app, ["list", kind], catch_exceptions=False)
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    shown = [line.split()[0] for line in done.stdout.splitlines()[2:] if line[:1].strip()]
    assert shown == [entry["name"] for entry in listed(kind)]


def test_without_a_kind_the_kinds_are_listed():
    done = CliRunner().invoke(app, ["list", "-o", "json"], catch_exceptions=False)
    assert [row["name"] for row in json.loads(done.stdout)] == list(KINDS)


def test_methods_show_presets_and_options_with_defaults():
    for entry in listed("methods"):
        kind = METHODS[entry["name"]]
        assert set(entry["presets"]) == set(kind.presets)
        defaults = {option["name"]: option["default"] for option in entry["options"]}
        assert defaults == kind.options_type().model_dump(mode="json")
        assert entry["searched"]["stored_maps"]


@pytest.mark.parametrize("kind", ["methods", "datasets"])
def test_every_option_says_what_it_is(kind):
    options = [(e["name"], option) for e in listed(kind) for option in e["options"]]
    assert options
    assert [(of, o["name"]) for of, o in options if not o["description"]] == []


def test_recipes_show_what_they_combine():
    for entry in listed("recipes"):
        if entry["quoted"]:
            assert entry["published"]
            assert entry["method"] is entry["epochs"] is None
        else:
            assert entry["method"] in METHODS
            assert entry["epochs"] >= 1


def test_benchmarks_are_listed_by_bench_too():
    done = CliRunner().invoke(app, ["bench", "-o", "json"], catch_exceptions=False)
    assert [entry["name"] for entry in json.loads(done.stdout)] == list(BENCHMARKS)


def test_option_facts_name_types_as_people_do():
    class Some(Options):
        count: int | None = 3
        required: float
        kind: str = "a"

    assert [(o["name"], o["type"], o["default"]) for o in option_facts(Some)] == [
        ("count", "integer or null", 3),
        ("required", "number", None),
        ("kind", "string", "a"),
    ]


def test_a_summary_is_the_first_paragraph():
    def thing():
        """Does this
        and that.

        And more.
        """

    assert summary_of(thing) == "Does this and that"


@pytest.mark.parametrize("name", ["digits-spn-tiny", "spg-t1-spg", "saliency-t1-alexnet"])
def test_what_is_shown_of_a_recipe_is_that_recipe_when_it_is_read_again(tmp_path, name):
    done = CliRunner().invoke(app, ["list", "recipes", "--show", name], catch_exceptions=False)
    (tmp_path / "copy.yaml").write_text(done.stdout)
    own, other = load_recipe(str(tmp_path / "copy.yaml")), load_recipe(name)
    paper = {"name", "row", "published", "deviations"}
    assert own.model_dump(exclude=paper) == other.model_dump(exclude=paper)
    words = ["list", "recipes", "--show", name, "-o", "json"]
    shown = CliRunner().invoke(app, words, catch_exceptions=False)
    assert json.loads(shown.stdout) == yaml.safe_load(done.stdout)


def test_only_recipes_are_shown():
    with pytest.raises(ConfigError, match="wsol list recipes --show cam"):
        CliRunner().invoke(app, ["list", "methods", "--show", "cam"], catch_exceptions=False)
