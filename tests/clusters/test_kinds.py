"""Every kind of cluster, through the registry: its example, its manifest, its refusals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import clusters.cluster
from clusters.base import Cluster, State
from clusters.cluster import KINDS, load_cluster, parse_cluster
from clusters.state import STATE_VARIABLE
from clusters.tokens import make_token
from workloads.errors import ConfigError, WsolError
from workloads.options import descriptions

FOLDER = Path(clusters.__file__).parent
TOKEN = "11" * 32


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State and token of this test, and no kubectl, sbatch or the like of the machine."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "token").write_text(TOKEN)


@pytest.fixture(params=KINDS)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The example of each kind, which has its name."""
    return load_cluster(request.param)


def text_of(cluster: Cluster) -> str:
    return (FOLDER / f"{cluster.name}.yaml").read_text(encoding="utf-8")


def test_an_example_is_of_its_kind_and_shows_every_key(cluster: Cluster) -> None:
    assert type(cluster) is KINDS[cluster.kind]
    text = text_of(cluster)
    shown = {*yaml.safe_load(text), *re.findall(r"^# ?(\w+):", text, re.MULTILINE)}
    keys = set(type(cluster).model_fields)
    assert keys - shown == set() or cluster.kind == "inline"


def test_every_setting_says_what_it_is(cluster: Cluster) -> None:
    said = descriptions(type(cluster))
    assert set(type(cluster).model_fields) - set(said) <= {"kind"}


def test_a_manifest_is_the_same_for_the_same_settings_and_can_be_read(cluster: Cluster) -> None:
    texts = cluster.manifest()
    assert texts == parse_cluster(text_of(cluster), "x").manifest()
    for file, text in texts.items():
        assert text.endswith("\n")
        if file.endswith((".yaml", ".yml")):
            assert all(isinstance(part, dict) for part in yaml.safe_load_all(text))


def test_no_manifest_holds_the_token(cluster: Cluster) -> None:
    assert not [file for file, text in cluster.manifest().items() if TOKEN in text]


def test_an_unknown_key_is_refused_with_the_nearest_match(cluster: Cluster) -> None:
    with pytest.raises(ConfigError, match="unknown key 'job_slot'; did you mean 'job_slots'"):
        parse_cluster(text_of(cluster) + "\njob_slot: 2\n", "x")


@pytest.mark.parametrize("line", ["job_slots: 0", "shared: 3", "name: ../x", "summary: 3"])
def test_bad_values_are_refused_in_one_line(cluster: Cluster, line: str) -> None:
    key = line.split(":")[0]
    values = {**yaml.safe_load(text_of(cluster)), **yaml.safe_load(line)}
    with pytest.raises(ConfigError, match=rf"^x: {key}: ") as caught:
        parse_cluster(yaml.safe_dump(values), "x")
    assert "\n" not in str(caught.value)


def test_what_was_never_started_takes_no_job_and_says_why(cluster: Cluster) -> None:
    """And without the command that would start it, that is one line, too."""
    status = cluster.status()
    assert status.state in (State.DOWN, State.UNREACHABLE)
    assert status.reason
    if cluster.kind != "existing":
        with pytest.raises(WsolError, match=f"cluster '{cluster.name}'") as caught:
            cluster.submit_address()
        assert "\n" not in str(caught.value)


def test_it_can_grow_to_what_is_more_than_nothing(cluster: Cluster) -> None:
    most = cluster.most()
    assert most is None or most["CPU"] > 0


def test_a_token_is_of_its_owner_alone_and_stays(tmp_path: Path) -> None:
    path = make_token(tmp_path / "deep/token")
    text = path.read_text()
    assert re.fullmatch("[0-9a-f]{64}", text)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert make_token(path).read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
