"""Descriptions of clusters: shipped ones by name, a user's by path, wrong ones in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import clusters.cluster
from clusters.cluster import cluster_names, load_cluster, parse_cluster
from clusters.local import Local
from workloads.errors import ConfigError, NotFound

LOCAL = Path(clusters.__file__).with_name("local.yaml")
GOOD = "name: here\nsummary: a machine\nkind: local\n"


@pytest.mark.parametrize("name", cluster_names())
def test_every_description_is_valid(name):
    cluster = load_cluster(name)
    assert cluster.name == cluster.given == name
    assert cluster.summary


def test_every_file_is_listed():
    files = {f.stem for f in LOCAL.parent.iterdir() if f.suffix in (".yaml", ".yml")}
    assert set(cluster_names()) == files
    assert "local" in files


def test_the_local_file_shows_every_key_with_its_default():
    cluster = load_cluster("local")
    assert cluster == Local(name="local", summary=cluster.summary, kind="local")


def test_an_unknown_name_has_the_nearest_match():
    with pytest.raises(ConfigError, match="unknown cluster 'locl'; did you mean 'local'"):
        load_cluster("locl")


@pytest.mark.parametrize("name", ["", "a\nb", "..", "loc al"])
def test_other_words_are_no_names(name):
    with pytest.raises(ConfigError, match="unknown cluster"):
        load_cluster(name)


@pytest.mark.parametrize("given", ["{0}/mine.yaml", "{0}/mine.yml", "./mine.yaml", "mine.yaml"])
def test_a_file_of_ones_own_is_named_by_its_path(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    given = given.format(tmp_path)
    Path(given).write_text(GOOD + "cpus: 3\n")
    cluster = load_cluster(given)
    assert (cluster.name, cluster.cpus, cluster.given) == ("here", 3, given)
    assert f"wsol cluster up {given}" in str(cluster.not_up())


def test_no_file_is_not_found(tmp_path):
    with pytest.raises(NotFound, match=r"gone\.yaml: no such file .* local"):
        load_cluster(str(tmp_path / "gone.yaml"))
    with pytest.raises(NotFound):
        load_cluster("../local")


def test_a_folder_or_no_text_is_no_cluster(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        load_cluster(f"{tmp_path}/")
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is no text"):
        load_cluster(str(tmp_path / "x.yaml"))


def test_a_copy_of_a_shipped_cluster_needs_a_name_of_its_own(tmp_path):
    """What is remembered of a cluster goes by its name."""
    (tmp_path / "x.yaml").write_text(LOCAL.read_text())
    with pytest.raises(ConfigError, match="'local' is that of a shipped cluster"):
        load_cluster(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "cpu: 4\n", "x.yaml: unknown key 'cpu'; did you mean 'cpus'"),
        (GOOD + "cpus: many\n", "x.yaml: cpus: .* given 'many'"),
        (GOOD + "cpus: 0\n", "x.yaml: cpus: "),
        (GOOD + "learning_rate: 0.1\n", "unknown key 'learning_rate'"),
        (GOOD.replace("local", "locla"), "x.yaml: kind: unknown .*did you mean 'local'"),
        (GOOD.replace("kind: local\n", ""), "x.yaml: kind: .*allowed: .*inline.*local"),
        (GOOD.replace("kind: local\n", "kind: [local]\n"), "x.yaml: kind: "),
        (GOOD.replace("here", "there"), "name: must be 'here', as the file; given 'there'"),
        (GOOD.replace("here", "../here"), "x.yaml: name: "),
        ("", "must hold keys and values"),
        ("- a\n- b\n", "must hold keys and values"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_descriptions(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_cluster(text, "x.yaml", "here")
    assert "\n" not in str(caught.value)


options = st.fixed_dictionaries(
    {"summary": st.text(max_size=20)},
    optional={
        "cpus": st.none() | st.integers(1, 1000),
        "gpus": st.none() | st.integers(0, 16),
        "object_store_mb": st.integers(80, 10**6),
        "dashboard": st.booleans(),
        "job_slots": st.integers(1, 99),
        "shared": st.lists(st.text(max_size=9), max_size=2).map(tuple),
    },
)


@given(options)
def test_a_description_is_read_back_as_it_was_written(given_options):
    cluster = Local(name="here", kind="local", **given_options)
    text = yaml.safe_dump(cluster.model_dump(mode="json"))
    assert parse_cluster(text, "x.yaml", "here") == cluster


@given(st.text(max_size=30))
def test_any_other_text_is_refused_in_one_line(text):
    said = ""
    try:
        parse_cluster(text, "x.yaml", "here")
    except ConfigError as error:
        said = str(error)
    assert said.startswith("x.yaml: ")  # the shortest description has 33 letters
    assert "\n" not in said


@pytest.mark.parametrize(
    ("line", "least"), [("cpus", 1), ("gpus", 0), ("object_store_mb", 80), ("job_slots", 1)]
)
def test_the_least_that_is_allowed(line, least):
    text = GOOD + f"{line}: "
    assert getattr(parse_cluster(text + str(least), "x.yaml", "here"), line) == least
    with pytest.raises(ConfigError, match=rf"^x\.yaml: {line}: .*given {least - 1}"):
        parse_cluster(text + str(least - 1), "x.yaml", "here")
