"""`wsol config`: the settings as they hold, and whether their names exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.config.settings import Settings
from workloads.errors import ConfigError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config(*words: str) -> Any:
    done = CliRunner().invoke(app, ["config", *words], catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def test_valid_settings_are_summed_up():
    words = ["--set", "cluster=inline", "--set", "workspace=w", "--set", "data.dataset=voc2007"]
    assert json.loads(config("validate", *words, "-o", "json")) == {
        "file": None,
        "valid": True,
        "cluster": "inline",
        "dataset": "voc2007",
        "recipes": ["digits-cam-tiny", "digits-spn-tiny"],
        "workspace": str(Path("w").resolve()),
    }


def test_people_see_which_file_was_read():
    assert "none; the defaults" in config("validate")
    Path("ray_config.yaml").write_text("cluster: inline\n")
    assert config("validate").splitlines()[0].split() == ["file", "ray_config.yaml"]
    Path("mine.yaml").write_text("cluster: inline\n")
    assert config("validate", "--config", "mine.yaml").splitlines()[0].split()[1] == "mine.yaml"


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("cluster=inlien", "unknown cluster 'inlien'; did you mean 'inline'? (allowed: aws, "),
        ("data.dataset=voc207", "unknown data set 'voc207'; did you mean 'voc2007'? (allowed: "),
        ("pipeline.recipes=[digits-cam-tyny]", "unknown recipe 'digits-cam-tyny'; did you mean "),
        ("ingest.options.clip=true", "ingest.options: unknown key 'clip'"),
        ("tune.alhpas=3", "settings.tune: unknown key 'alhpas'; did you mean 'alphas'"),
        ("serve.port=0", "settings: serve.port: "),
    ],
)
def test_every_name_and_value_is_checked(setting, line):
    with pytest.raises(ConfigError) as caught:
        config("validate", "--set", setting)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_showing_does_not_check_names_so_that_a_wrong_file_can_be_looked_at():
    assert json.loads(config("show", "--set", "cluster=moon", "-o", "json"))["cluster"] == "moon"


def test_letters_of_any_script_are_shown_as_they_are():
    assert "workspace: " + str(Path("dätä").resolve()) in config("show", "--set", "workspace=dätä")


def test_the_schema_describes_every_section_and_refuses_unknown_keys():
    schema = json.loads(config("schema"))
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["additionalProperties"] is False
    for name, section in schema["$defs"].items():
        if "properties" in section:
            assert section["additionalProperties"] is False, name
