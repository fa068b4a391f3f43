"""MLflow as it is asked: one run for one unique id, parts that a server takes, one experiment."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from orchestrator.config.settings import Settings, Tracking
from orchestrator.tracking.mlflow_store import (
    MAX_VALUE,
    MlflowStore,
    capped,
    clean_key,
    flat,
    is_missing,
    tag_of,
)


def refused(code: str) -> MlflowException:
    error = MlflowException("no")
    error.error_code = code
    return error


class Client:
    """Stands where `MlflowClient` stands, with runs in memory."""

    def __init__(self) -> None:
        self.experiments: dict[str, str | None] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.batches: list[int] = []
        self.asked = 0
        self.error: MlflowException | None = None

    def get_experiment_by_name(self, name: str) -> Any:
        self.asked += 1
        if name not in self.experiments:
            return None
        return SimpleNamespace(experiment_id=f"of {name}", lifecycle_stage="active")

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        if self.error:
            raise self.error
        self.experiments[name] = artifact_location
        return f"of {name}"

    def search_runs(self, _: list[str], query: str, max_results: int, order_by: list[str]) -> Any:
        found = [
            SimpleNamespace(info=SimpleNamespace(run_id=run_id))
            for run_id, run in self.runs.items()
            if query == f"tags.`wsol.run` = '{run['tags']['wsol.run']}'"
        ]
        return found[:max_results]

    def create_run(self, experiment: str, started: int | None, tags: dict, run_name: str) -> Any:
        run_id = f"run-{len(self.runs)}"
        self.runs[run_id] = {
            "tags": dict(tags), "params": {}, "name": run_name, "started": started,
            "status": "RUNNING", "experiment": experiment,
        }  # fmt: skip
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def update_run(self, run_id: str, status: str, name: str) -> None:
        self.runs[run_id].update(status=status, name=name)

    def get_run(self, run_id: str) -> Any:
        if self.error:
            raise self.error
        if run_id not in self.runs:
            raise refused("RESOURCE_DOES_NOT_EXIST")
        return SimpleNamespace(data=SimpleNamespace(params=dict(self.runs[run_id]["params"])))

    def log_batch(self, run_id: str, params: Any = (), tags: Any = (), synchronous: bool = False):
        assert synchronous
        self.batches.append(len(params) + len(tags))
        self.runs[run_id]["params"].update({p.key: p.value for p in params})
        self.runs[run_id]["tags"].update({t.key: t.value for t in tags})


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def store(client, tmp_path, monkeypatch) -> MlflowStore:
    monkeypatch.setattr(MlflowStore, "_connect", lambda _: client)
    return MlflowStore(Settings(workspace=tmp_path / "w"))


def test_one_unique_id_is_one_run(store, client):
    first = store.open_run("u", "name", {"lr": "0.1"}, {"team": "a"}, started_ms=12)
    other = store.open_run("v", "name", {}, {})
    assert first != other
    client.runs[first]["status"] = "FAILED"
    assert store.open_run("u", "renamed", {"lr": "0.1", "new": "1"}, {"team": "b"}) == first
    run = client.runs[first]
    assert (run["name"], run["status"], run["started"]) == ("renamed", "RUNNING", 12)
    assert run["params"] == {"lr": "0.1", "new": "1"}
    assert run["tags"] == {
        "mlflow.source.name": "wsol",
        "mlflow.source.type": "JOB",
        "team": "b",
        "wsol.run": "u",
    }


def test_what_changed_is_kept_as_a_tag_as_mlflow_keeps_first_values(store, client):
    run_id = store.open_run("u", "n", {"lr": "0.1", "seed": "1"}, {})
    store.open_run("u", "n", {"lr": "0.2", "seed": "2"}, {})
    assert client.runs[run_id]["params"] == {"lr": "0.1", "seed": "1"}
    assert client.runs[run_id]["tags"]["wsol.changed_params"] == "lr: 0.1 -> 0.2; seed: 1 -> 2"
    long = {f"p{i}": "x" * 100 for i in range(9)}
    store.open_run("w", "n", dict.fromkeys(long, "y"), {})
    store.open_run("w", "n", long, {})
    changed = client.runs["run-1"]["tags"]["wsol.changed_params"]
    assert (len(changed), changed[-1]) == (MAX_VALUE, "…")


@pytest.mark.parametrize(
    ("count", "parts"), [(0, []), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])]
)
def test_parameters_go_in_parts_of_at_most_a_hundred(store, client, count, parts):
    run_id = store.open_run("u", "n", {f"p{i}": str(i) for i in range(count)}, {})
    assert client.batches == parts
    assert client.runs[run_id]["params"] == {f"p{i}": str(i) for i in range(count)}


def test_no_tag_of_a_user_can_take_the_place_of_the_unique_id(store, client):
    run_id = store.open_run("u", "n", {}, {"wsol.run": "another", "a@b": "x" * 600})
    assert client.runs[run_id]["tags"]["wsol.run"] == "u"
    assert len(client.runs[run_id]["tags"]["a_b"]) == 500


def test_a_parent_is_found_by_either_id_or_made_and_asked_for_once(store, client):
    known = store.open_run("u", "n", {}, {})
    assert store.parent_id("u") == store.parent_id(known) == known
    made = store.parent_id("not yet")
    assert client.runs[made]["name"] == "not yet"
    assert store.parent_id("not yet") == made
    assert len(client.runs) == 2
    # when the parent itself is sent it gets its own name
    assert store.open_run("not yet", "sweep", {"a": "1"}, {}) == made
    assert (client.runs[made]["name"], client.runs[made]["params"]) == ("sweep", {"a": "1"})


@pytest.mark.parametrize("code", ["RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"])
def test_an_id_that_mlflow_does_not_know_is_no_error(store, client, code):
    client.error = refused(code)
    assert not store.has_run("x")


def test_a_server_that_fails_is_not_taken_for_a_missing_run(store, client):
    client.error = refused("INTERNAL_ERROR")
    with pytest.raises(MlflowException):
        store.has_run("x")


def test_the_experiment_is_looked_up_once_until_it_is_forgotten(store, client):
    name = Tracking().experiment
    assert [store.experiment() for _ in range(3)] == [f"of {name}"] * 3
    assert client.asked == 1
    client.experiments.clear()  # the server came back with another database
    store.parent_id("p")
    store.forget()
    assert store.experiment() == f"of {name}"
    assert name in client.experiments
    client.runs.clear()
    assert store.parent_id("p") in client.runs


def test_artifacts_of_a_local_database_are_in_the_workspace(store, client, tmp_path):
    store.experiment()
    assert list(client.experiments.values()) == [(tmp_path / "w" / "mlflow-artifacts").as_uri()]


def test_a_server_knows_itself_where_artifacts_go(client, tmp_path, monkeypatch):
    monkeypatch.setattr(MlflowStore, "_connect", lambda _: client)
    tracking = Tracking(uri="https://me:secret@there:5000", experiment="e")
    store = MlflowStore(Settings(workspace=tmp_path, tracking=tracking))
    store.experiment()
    assert client.experiments == {"e": None}
    assert store.shown_uri == "https://***@there:5000"


def test_an_experiment_that_another_process_made_first_is_used(store, client, monkeypatch):
    def faster(name: str, artifact_location: str) -> str:
        client.experiments[name] = None
        raise refused("RESOURCE_ALREADY_EXISTS")

    monkeypatch.setattr(client, "create_experiment", faster)
    assert store.experiment() == f"of {Tracking().experiment}"


def test_an_experiment_that_cannot_be_made_is_an_error(store, client):
    client.error = refused("PERMISSION_DENIED")
    with pytest.raises(MlflowException):
        store.experiment()


def test_waiting_is_limited_by_the_settings_in_whole_seconds(store, tmp_path):
    names = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    tracking = Tracking(timeout_s=1.2, retries=3)
    slow = MlflowStore(Settings(workspace=tmp_path, tracking=tracking))
    assert [os.environ[name] for name in names] == ["2", "3"]
    with pytest.raises(KeyError), slow.transfer(10 * 2**20):  # a MiB a second, at the slowest
        assert os.environ[names[0]] == "12"
        raise KeyError
    assert os.environ[names[0]] == "2"


def test_a_folder_is_stored_with_time_for_all_of_it(store, client, tmp_path, monkeypatch):
    calls: list[tuple] = []
    sizes: list[int] = []
    transfer = store.transfer
    monkeypatch.setattr(store, "transfer", lambda size: sizes.append(size) or transfer(size))
    place = SimpleNamespace(
        log_artifacts=lambda *a: calls.append(("folder", *a)),
        log_artifact=lambda *a: calls.append(("file", *a)),
    )
    monkeypatch.setattr(store, "_artifacts", lambda run_id: calls.append((run_id,)) or place)
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "a").write_bytes(b"12345")
    (tmp_path / "plots" / "deep" / "b").write_bytes(b"123")
    store.log_artifact("r", tmp_path / "plots", "in")
    store.log_artifact("r", tmp_path / "plots" / "a")
    assert sizes == [8, 5]
    folder = str(tmp_path / "plots")
    assert calls == [("r",), ("folder", folder, "in"), ("r",), ("file", f"{folder}/a", None)]


@given(st.text(max_size=40))
def test_a_unique_id_as_a_tag_can_stand_in_a_search_and_is_read_back(uid):
    tag = tag_of(uid)
    assert unquote(tag) == uid
    assert tag.isascii()
    assert not set(tag) & set("'\"`\n\\")


@given(st.text(max_size=300))
def test_every_name_is_made_fit_and_stays_so(key):
    from mlflow.utils.validation import _validate_metric_name

    clean = clean_key(key)
    _validate_metric_name(clean)
    assert 1 <= len(clean) <= 250
    assert clean_key(clean) == clean


@pytest.mark.parametrize("length", [0, 499, 500])
def test_a_value_of_the_allowed_length_is_left_as_it_is(length):
    assert capped("x" * length) == "x" * length


def test_nested_parameters_are_named_by_their_path():
    nested = {"a": {"b": {"c": 1}, "d": None}, "e": {}, "f": (1, 2)}
    assert flat(nested) == {"a.b.c": "1", "a.d": "None", "e": "{}", "f": "(1, 2)"}


def test_only_what_does_not_exist_is_missing():
    assert is_missing(refused("RESOURCE_DOES_NOT_EXIST"))
    assert not is_missing(refused("INTERNAL_ERROR"))
    assert not is_missing(KeyError("RESOURCE_DOES_NOT_EXIST"))
