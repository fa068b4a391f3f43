"""Cluster descriptions: every file is valid, wrong ones are refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import clusters.cluster
from clusters.cluster import Cluster, cluster_names, load_cluster, parse_cluster
from workloads.errors import ConfigError

LOCAL = Path(clusters.__file__).with_name("local.yaml")
GOOD = "name: here\nsummary: a machine\nkind: local\n"


@pytest.mark.parametrize("name", cluster_names())
def test_every_description_is_valid(name):
    cluster = load_cluster(name)
    assert cluster.name == name
    assert cluster.summary


def test_every_file_is_listed():
    files = {f.stem for f in LOCAL.parent.iterdir() if f.suffix in (".yaml", ".yml")}
    assert set(cluster_names()) == files
    assert "local" in files


def test_the_local_file_shows_every_key_with_its_default():
    cluster = load_cluster("local")
    assert cluster == Cluster(name="local", summary=cluster.summary, kind="local")
    keys = {line.split(":")[0] for line in LOCAL.read_text().splitlines() if line[:1].isalpha()}
    assert keys == set(Cluster.model_fields)


def test_an_unknown_name_has_the_nearest_match():
    with pytest.raises(ConfigError, match="unknown cluster 'locl'; did you mean 'local'"):
        load_cluster("locl")


@pytest.mark.parametrize("name", ["../local", "", "local.yaml", "/etc/passwd", "a\nb"])
def test_a_name_is_never_a_path(name):
    with pytest.raises(ConfigError, match="unknown cluster"):
        load_cluster(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "cpu: 4\n", "x.yaml: unknown key 'cpu'; did you mean 'cpus'"),
        (GOOD + "cpus: many\n", "x.yaml: cpus: .* given 'many'"),
        (GOOD + "cpus: 0\n", "x.yaml: cpus: "),
        (GOOD + "learning_rate: 0.1\n", "unknown key 'learning_rate'"),
        (GOOD.replace("local", "moon"), "x.yaml: kind: "),
        (GOOD.replace("here", "there"), "name: must be 'here', as the file; given 'there'"),
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
    {"kind": st.sampled_from(["local", "inline"]), "summary": st.text(max_size=20)},
    optional={
        "cpus": st.none() | st.integers(1, 1000),
        "gpus": st.none() | st.integers(0, 16),
        "object_store_mb": st.integers(80, 10**6),
        "dashboard": st.booleans(),
    },
)


@given(options)
def test_a_description_is_read_back_as_it_was_written(given_options):
    cluster = Cluster(name="here", **given_options)
    text = yaml.safe_dump(cluster.model_dump())
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


@pytest.mark.parametrize(("line", "least"), [("cpus", 1), ("gpus", 0), ("object_store_mb", 80)])
def test_the_least_that_is_allowed(line, least):
    text = GOOD + f"{line}: "
    assert getattr(parse_cluster(text + str(least), "x.yaml", "here"), line) == least
    with pytest.raises(ConfigError, match=rf"^x\.yaml: {line}: .*given {least - 1}"):
        parse_cluster(text + str(least - 1), "x.yaml", "here")
