"""The one file that a user edits: typed, unknown keys refused, overrides, one-line errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.config.names import check_names
from orchestrator.config.settings import Settings, load_settings, settings_file
from workloads.errors import ConfigError, NotFound


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without a settings file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_CONFIG", raising=False)


def write(text: str, name: str = "ray_config.yaml") -> Path:
    Path(name).write_text(text)
    return Path(name)


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_file_the_defaults_hold(tmp_path):
    assert load_settings() == Settings(workspace=tmp_path / "wsol-workspace")
    assert settings_file(None) is None


def test_an_empty_file_is_the_defaults():
    write("# nothing\n")
    assert load_settings() == Settings().resolved()


def test_where_the_file_is_looked_for(monkeypatch, tmp_path):
    write("pipeline: {name: here}")
    named = write("pipeline: {name: variable}", "other.yaml")
    given = write("pipeline: {name: given}", "given.yaml")
    assert load_settings().pipeline.name == "here"
    assert settings_file(None) == Path("ray_config.yaml")
    monkeypatch.setenv("WSOL_CONFIG", str(named))
    assert load_settings().pipeline.name == "variable"
    assert settings_file(None) == named
    assert load_settings(given).pipeline.name == "given"
    assert settings_file(given) == given


def test_a_missing_file_is_not_found():
    with pytest.raises(NotFound, match=r"absent\.yaml: no such configuration file"):
        load_settings(Path("absent.yaml"))


def test_the_workspace_is_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load_settings(None, ("workspace=~/w",)).workspace == tmp_path / "home" / "w"


def test_overrides_are_typed_yaml_and_the_last_wins():
    settings = load_settings(
        None,
        (
            "resources.train.workers=3",
            "resources.train.workers=4",
            "tracking.uri=null",
            "pipeline.recipes=[one, two]",
            "tune.cutoff_range=[0.1, 0.2]",
            "serve={port: 9000}",
        ),
    )
    assert settings.resources.train.workers == 4
    assert settings.pipeline.recipes == ("one", "two")
    assert settings.tune.cutoff_range == (0.1, 0.2)
    assert settings.serve.port == 9000


def test_overrides_win_over_the_file_and_keep_the_rest():
    write("resources: {train: {workers: 3, max_failures: 9}}")
    train = load_settings(None, ("resources.train.workers=1",)).resources.train
    assert (train.workers, train.max_failures) == (1, 9)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("clutser=local", "unknown key 'clutser'; did you mean 'cluster'? (allowed: annotate,"),
        ("resources.train.worker=1", "resources.train: unknown key 'worker'; did you mean 'work"),
        ("data.digits.sead=1", "data.digits: unknown key 'sead'; did you mean 'seed'"),
        ("tune.alphas=0", "tune.alphas: "),
        ("tune.metric=f1", "tune.metric: "),
        ("pipeline.name=../up", "pipeline.name: "),
        ("pipeline.recipes=[]", "pipeline.recipes: "),
        ("serve.port=99999", "serve.port: "),
        ("resources.train.workers=two", "given 'two'"),
        ("resources=none", "resources: "),
        ("workers", "--set workers: write it as key.path=value"),
        ("cluster.name=x", "cluster: "),
        ("pipeline.name=[", "is not a YAML value"),
    ],
)
def test_wrong_values_are_one_line(override, message):
    assert message in refused(override)


def test_an_override_below_a_value_is_refused():
    write("cluster: local")
    assert "'cluster' holds a value, not keys" in refused("cluster.name=x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- a\n", "must hold keys and values, not a list"),
        ("just words", "must hold keys and values, not a str"),
        ("pipeline: {nam: x}", "pipeline: unknown key 'nam'; did you mean 'name'"),
        ("cluster: !!python/object/apply:os.system [ls]", "not valid YAML"),
    ],
)
def test_bad_files_are_one_line_with_their_name(text, message):
    write(text)
    found = refused()
    assert found.startswith("ray_config.yaml")
    assert message in found


def test_bytes_that_are_no_text():
    Path("ray_config.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not valid YAML" in refused()


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stderr == ""
    return done.stdout


def test_show_gives_what_it_was_given(tmp_path):
    shown = invoke("config", "show", "--set", "pipeline.name=x")
    assert Settings.parse(yaml.safe_load(shown), "shown") == load_settings(
        None, ("pipeline.name=x",)
    )
    as_json = json.loads(invoke("config", "show", "--set", "pipeline.name=x", "-o", "json"))
    assert as_json == yaml.safe_load(shown)


def test_options_before_the_verb_count_too():
    given = write("pipeline: {name: given}", "given.yaml")
    shown = invoke("--config", str(given), "--set", "cluster=a", "config", "show", "-o", "json")
    assert json.loads(shown)["pipeline"]["name"] == "given"
    assert json.loads(shown)["cluster"] == "a"
    both = invoke("--set", "cluster=a", "config", "show", "--set", "cluster=b", "-o", "json")
    assert json.loads(both)["cluster"] == "b"


def test_validate_looks_up_every_name():
    facts = json.loads(invoke("config", "validate", "-o", "json"))
    assert facts["valid"]
    assert facts["file"] is None
    with pytest.raises(ConfigError, match="unknown recipe 'digit'"):
        check_names(load_settings(None, ("pipeline.recipes=[digit]",)))
    with pytest.raises(ConfigError, match="unknown cluster 'locl'; did you mean 'local'"):
        check_names(load_settings(None, ("cluster=locl",)))
    with pytest.raises(ConfigError, match="unknown data set 'digit'; did you mean 'digits'"):
        check_names(load_settings(None, ("data.dataset=digit",)))


def test_the_schema_refuses_unknown_keys():
    schema = json.loads(invoke("config", "schema"))
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["cluster"]["description"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("127.0.0.1:5000", "write it as http://127.0.0.1:5000"),
        ("tracking.example.org:80/x", "write it as http://tracking.example.org:80/x"),
        ("s3://bucket/mlruns", "'s3' names no tracking server; give http(s)://HOST:PORT"),
        ("./mlruns", "a folder is none; give http(s)://HOST:PORT"),
        ("file:///srv/mlruns", "'file' names no tracking server"),
    ],
)
def test_what_is_no_tracking_server_is_explained(uri, message, monkeypatch):
    with pytest.raises(ConfigError) as raised:
        load_settings(None, (f"tracking.uri={uri}",))
    assert message in str(raised.value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI: uri: ") as raised:
        load_settings(None)
    assert message in str(raised.value)


@pytest.mark.parametrize("uri", ["http://localhost:5000", "sqlite:///x.db", "postgresql+x://h/n"])
def test_the_tracking_server_of_the_environment(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert load_settings(None).tracking.uri == uri
    set_here = load_settings(None, ("tracking.uri=http://other:1", "tracking.timeout_s=3"))
    assert (set_here.tracking.uri, set_here.tracking.timeout_s) == ("http://other:1", 3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert load_settings(None).tracking.uri is None


def test_origins_are_those_that_browsers_send():
    allowed = load_settings(None, ("serve.allowed_origins=[https://a.org, 'http://b:80', '*']",))
    assert allowed.serve.allowed_origins == ("https://a.org", "http://b:80", "*")
    for wrong in ("https://a.org/", "a.org", "ftp://a"):
        with pytest.raises(ConfigError, match=r"write SCHEME://HOST\[:PORT\], or \*"):
            load_settings(None, (f"serve.allowed_origins=[{wrong}]",))
