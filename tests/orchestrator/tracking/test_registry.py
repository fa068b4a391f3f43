"""The model registry: round trip, identity by digest, aliases, and every way to go wrong."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from orchestrator.config.settings import Settings, Tracking
from orchestrator.tracking import registry
from orchestrator.tracking.mlflow_store import MlflowStore
from orchestrator.tracking.registry import (
    champion,
    fetch_model,
    find_version,
    register,
    set_champion,
)
from orchestrator.tracking.tracker import Tracker
from workloads.artifacts import read_manifest, seal
from workloads.errors import ClusterError, ConfigError, IntegrityError, NotFound, ResourceError
from workloads.models.model import Model


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    letters = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return letters.strip("-")


def make_model(folder: Path, weights: bytes = b"weights") -> Path:
    """A sealed folder with the shape of a model."""
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "model.json").write_text(json.dumps({"cutoffs": {"alpha": 0.1}}))
    seal(folder, kind="model")
    return folder


@pytest.fixture
def model(tmp_path: Path, name: str) -> Path:
    return make_model(tmp_path / "model", name.encode())


def test_round_trip(settings: Settings, store: MlflowStore, model: Path, name: str) -> None:
    tags = {"method": "any", "val.box_f1": 0.5, "recipe": "r" * 9000}
    version = register(settings, model, name, tags)
    assert (version.name, version.version) == (name, 1)
    assert find_version(settings, version.uri) == version
    assert version.reference == f"{name}/1"
    assert version.uri == f"models:/{name}/1"
    assert version.digest == read_manifest(model, "model")["digest"]

    folder = fetch_model(settings, version.reference).folder
    for file in model.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert settings.workspace / "mlflow-artifacts" in folder.parents  # in place, no copy
    assert not list(settings.workspace.rglob("*.pkl"))

    stored = store.client.get_model_version(name, "1")
    assert stored.status == "READY"
    assert stored.tags["wsol.digest"] == version.digest
    assert stored.tags["val.box_f1"] == "0.5"
    assert len(stored.tags["recipe"]) == 500
    assert "- method: any" in stored.description
    assert version.digest[:12] in stored.description
    assert store.client.get_run(version.run_id).info.status == "FINISHED"


def test_the_same_model_is_registered_once(
    settings: Settings, store: MlflowStore, model: Path, name: str, tmp_path: Path
) -> None:
    first = register(settings, model, name, {"method": "any"})
    moved = model.rename(tmp_path / "elsewhere")
    assert register(settings, moved, name, {"method": "any"}) == first
    other = register(settings, make_model(tmp_path / "b", b"other"), name, {})
    assert other.version == 2
    assert len(store.client.search_model_versions(f"name = '{name}'")) == 2
    assert register(settings, moved, f"{name}-2", {}).version == 1


def test_a_killed_registration_leaves_one_run(
    settings: Settings,
    store: MlflowStore,
    model: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "_description", killed)
        with pytest.raises(KeyboardInterrupt):
            register(settings, model, name, {})
    version = register(settings, model, name, {})
    runs = store.client.search_runs(
        [store.experiment()], f"tags.`wsol.digest` = '{version.digest}'"
    )
    assert [r.info.run_id for r in runs] == [version.run_id]


def test_files_belong_to_the_run_that_trained(
    settings: Settings, store: MlflowStore, model: Path, name: str, tmp_path: Path
) -> None:
    run = Tracker(settings).start_run("training", {}, {"wsol.run": name})
    first = register(settings, model, name, {}, run_id=run.run_id)
    second = register(settings, make_model(tmp_path / "b", b"tuned"), name, {}, run_id=run.run_id)
    assert first.run_id == second.run_id == run.run_id
    assert fetch_model(settings, first.reference) != fetch_model(settings, second.reference)
    assert store.client.get_run(run.run_id).info.status == "RUNNING"  # not ours to end
    with pytest.raises(NotFound, match=r"MLflow run '0{32}'"):
        register(settings, make_model(tmp_path / "c", b"c"), name, {}, run_id="0" * 32)


def test_an_alias_moves(settings: Settings, model: Path, name: str, tmp_path: Path) -> None:
    first = register(settings, model, name, {})
    second = register(settings, make_model(tmp_path / "b", b"second"), name, {})
    assert set_champion(settings, name, first.version, "champion") == first
    assert champion(settings, name, "champion") == first
    assert set_champion(settings, name, str(second.version), "champion") == second
    assert find_version(settings, f"{name}@champion") == second
    folder = fetch_model(settings, f"{name}@champion").folder
    assert (folder / "weights.safetensors").read_bytes() == b"second"


def test_a_folder_is_a_reference(settings: Settings, model: Path) -> None:
    assert fetch_model(settings, str(model)) == Model.open(model)
    (model / "weights.safetensors").write_bytes(b"changed")
    with pytest.raises(IntegrityError, match=r"weights\.safetensors: missing or changed"):
        fetch_model(settings, str(model))


@pytest.mark.parametrize("file", ["weights.safetensors", "model.json", "manifest.json"])
def test_a_changed_byte_is_found(settings: Settings, model: Path, name: str, file: str) -> None:
    version = register(settings, model, name, {})
    path = fetch_model(settings, version.reference).folder / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(IntegrityError) as caught:
        fetch_model(settings, version.reference)
    message = str(caught.value)
    assert message.startswith(f"model {version.reference}: ")
    assert file in message
    assert "\n" not in message


def test_a_replaced_model_is_found(
    settings: Settings, model: Path, name: str, tmp_path: Path
) -> None:
    version = register(settings, model, name, {})
    folder = fetch_model(settings, version.reference).folder
    for file in make_model(tmp_path / "b", b"well-formed, but another").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(IntegrityError, match="holds another model than was registered"):
        fetch_model(settings, version.reference)


def test_lost_files_are_named(settings: Settings, model: Path, name: str) -> None:
    version = register(settings, model, name, {})
    folder = fetch_model(settings, version.reference).folder
    (folder / "weights.safetensors").unlink()
    with pytest.raises(IntegrityError, match=r"weights\.safetensors: missing"):
        fetch_model(settings, version.reference)
    folder.rename(folder.with_name("gone"))
    with pytest.raises(NotFound, match=f"model {version.reference}: .* no model there"):
        fetch_model(settings, version.reference)


def test_unknown_names_are_answered_with_what_exists(
    settings: Settings, model: Path, name: str
) -> None:
    register(settings, model, name, {})
    with pytest.raises(NotFound, match=f"has no alias 'champion', nor any other; use {name}/"):
        champion(settings, name, "champion")
    set_champion(settings, name, 1, "champion")
    set_champion(settings, name, 1, "candidate")
    for reference, words in {
        f"{name}@champoin": "did you mean 'champion'? (allowed: candidate, champion)",
        f"{name}/7": f"unknown version of model '{name}' '7' (allowed: 1)",
        f"{name}x@champion": f"did you mean '{name}'?",
        "no such folder": "give a model folder, NAME@ALIAS or NAME/VERSION",
    }.items():
        with pytest.raises(NotFound) as caught:
            fetch_model(settings, reference)
        assert words in str(caught.value)
    with pytest.raises(NotFound, match="unknown version"):
        set_champion(settings, name, 7, "champion")


def test_an_empty_registry(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing is registered in sqlite:///.*mlflow\.db yet"):
        champion(Settings(workspace=tmp_path / "new"), "any", "champion")


def test_a_version_of_somebody_else(settings: Settings, store: MlflowStore, name: str) -> None:
    store.client.create_registered_model(name)
    store.client.create_model_version(name, "file:///nowhere")
    with pytest.raises(NotFound, match="was not registered by wsol"):
        find_version(settings, f"{name}/1")


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "a@b", "a:b", "it's"])
def test_bad_model_names_are_refused(settings: Settings, model: Path, bad: str) -> None:
    with pytest.raises(ConfigError, match="use letters"):
        register(settings, model, bad, {})


@pytest.mark.parametrize("bad", ["", "latest", "v1", "12", "a b", "a@b"])
def test_bad_aliases_are_refused(settings: Settings, bad: str) -> None:
    with pytest.raises(ConfigError, match="use letters"):
        set_champion(settings, "any", 1, bad)


def test_an_unfinished_or_damaged_model_is_not_registered(
    settings: Settings, model: Path, name: str, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no model there"):
        register(settings, tmp_path, name, {})
    (model / "weights.safetensors").write_bytes(b"changed")
    with pytest.raises(IntegrityError):
        register(settings, model, name, {})
    with pytest.raises(NotFound, match="unknown model"):
        find_version(settings, f"{name}/1")


def test_a_dead_server_is_an_error_here(model: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://user:secret@127.0.0.1:{port}"
    dead = Settings(workspace=tmp_path, tracking=Tracking(uri=uri, timeout_s=1))
    for call in (
        lambda: register(dead, model, "any", {}),
        lambda: champion(dead, "any", "champion"),
        lambda: set_champion(dead, "any", 1, "champion"),
        lambda: fetch_model(dead, "any/1"),
    ):
        with pytest.raises(ClusterError) as caught:
            call()
        message = str(caught.value)
        assert f"***@127.0.0.1:{port}" in message
        assert "refused" in message
        assert "secret" not in message
        assert "\n" not in message


def test_a_full_disk_is_no_dead_server(
    settings: Settings, model: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowStore, "log_artifact", full)
    with pytest.raises(ResourceError, match="No space left on device; free some space"):
        register(settings, model, name, {})


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The local store as if it were a remote one; the list grows with every download."""
    downloads: list[str] = []
    download = MlflowStore.download

    def counted(store: MlflowStore, source: str, target: Path) -> Path:
        downloads.append(source)
        return download(store, source, target)

    monkeypatch.setattr(registry, "_local_folder", lambda _: None)
    monkeypatch.setattr(MlflowStore, "download", counted)
    return downloads


def test_a_download_is_kept_and_repaired(
    settings: Settings, model: Path, name: str, remote: list[str]
) -> None:
    version = register(settings, model, name, {})
    folder = fetch_model(settings, version.reference).folder
    assert folder == settings.workspace / "models" / version.digest
    assert fetch_model(settings, version.reference).folder == folder
    assert len(remote) == 1
    (folder / "weights.safetensors").write_bytes(b"damaged copy")
    fetch_model(settings, version.reference)
    assert len(remote) == 2
    assert (folder / "weights.safetensors").read_bytes() == name.encode()
    assert [p.name for p in folder.parent.iterdir() if p.name.startswith(".")] == []


def test_a_damaged_download_is_refused_and_not_kept(
    settings: Settings, model: Path, name: str, tmp_path: Path, remote: list[str]
) -> None:
    version = register(settings, model, name, {})
    source = Path(registry.urllib.request.url2pathname(version.source.removeprefix("file://")))
    (source / "weights.safetensors").write_bytes(b"changed on the server")
    with pytest.raises(IntegrityError, match=f"model {version.reference}: "):
        fetch_model(settings, version.reference)
    models = settings.workspace / "models"
    assert not (models / version.digest).exists()
    assert not [p for p in models.iterdir() if p.name.startswith(".")]


def test_a_workspace_that_moved(model: Path, name: str, tmp_path: Path) -> None:
    """Its database names the old place, in experiment, run and version alike."""
    old = Settings(workspace=tmp_path / "feature%2Flogin?" / "old", tracking=Tracking(timeout_s=60))
    version = register(old, model, name, {})
    set_champion(old, name, 1, "champion")
    assert old.workspace / "mlflow-artifacts" in fetch_model(old, f"{name}/1").folder.parents
    new = old.model_copy(update={"workspace": tmp_path / "new #1"})
    old.workspace.rename(new.workspace)

    found = fetch_model(new, f"{name}@champion")
    assert new.workspace / "mlflow-artifacts" in found.folder.parents
    assert find_version(new, f"{name}/1").source.startswith((new.workspace).as_uri())
    assert register(new, model, name, {}).digest == version.digest
    other = register(new, make_model(tmp_path / "b", b"other"), name, {}, version.run_id)
    assert new.workspace / "mlflow-artifacts" in fetch_model(new, other.reference).folder.parents
    assert not old.workspace.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "b", "feature%2Flogin?", "model", "new #1"
    ]  # fmt: skip


def test_a_deleted_experiment_says_how_to_mend_it(
    model: Path, name: str, settings: Settings, store: MlflowStore
) -> None:
    tracking = settings.tracking.model_copy(update={"experiment": f"of {name}"})
    lost = settings.model_copy(update={"tracking": tracking})
    number = MlflowStore(lost).experiment()
    store.client.delete_experiment(number)
    with pytest.raises(ConfigError, match="was deleted; bring it back with: ") as caught:
        register(lost, model, name, {})
    assert f"restore --experiment-id {number}" in str(caught.value)
    assert "tracking.experiment" in str(caught.value)
    store.client.restore_experiment(number)
    assert register(lost, model, name, {}).version == 1
