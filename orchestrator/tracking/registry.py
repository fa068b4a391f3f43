"""The model registry: one version holds weights, thresholds, classes and where they came from.

A version is found again by the digest of its files, which is checked whenever it is fetched.
Unlike tracking, a registry that cannot be reached is an error here.
"""

from __future__ import annotations

import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import Workspace
from orchestrator.tracking.mlflow_store import (
    MlflowStore,
    capped,
    clean_key,
    is_missing,
    root_cause,
)
from orchestrator.tracking.remedies import GENERAL, remedy
from workloads.artifacts import atomic_folder, is_sealed
from workloads.errors import (
    ClusterError,
    ConfigError,
    IntegrityError,
    NotFound,
    ResourceError,
    WsolError,
    says_disk_full,
    unknown_name,
)
from workloads.models.model import Model
from workloads.storage.addresses import check_address, is_address

DIGEST_TAG = "wsol.digest"
MAX_VERSION_TAG = 5_000  # characters of a tag: what a server's database holds
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ALIAS = re.compile(r"(?!latest$)(?![vV]?[0-9]+$)[A-Za-z0-9_-]+")
_MODELS = "models:/"  # as MLflow writes a version, and `wsol register` prints it
_REFERENCE = re.compile(rf"(?P<name>{_NAME.pattern})(?:@(?P<alias>[\w-]+)|/(?P<version>[0-9]+))")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version.

    Attributes:
        digest: of the model folder's manifest, 64 hex digits.
        uri: MLflow's name for it.
        run_id: the MLflow run that its files belong to.
        source: where the files lie.
    """

    name: str
    version: int
    digest: str
    uri: str
    run_id: str | None
    source: str

    @property
    def reference(self) -> str:
        """The name that `fetch_model` and the command line take."""
        return f"{self.name}/{self.version}"


def register(
    machine: Machine,
    model_folder: Path,
    name: str,
    tags: Mapping[str, Any],
    run_id: str | None = None,
) -> ModelVersion:
    """Register a model folder; a version with the same digest is returned, not made again.

    Args:
        tags: shown with the version: method, recipe, metric values.
        run_id: MLflow run that trained it; None makes a run that only holds the files.

    Raises:
        NotFound, IntegrityError: as `verify`; or there is no such run.
        ConfigError: a name that the registry cannot hold.
        ClusterError: MLflow fails.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"model name '{name}': use letters, digits, '.', '_' and '-' only")
    model = Model.open_verified(model_folder)
    store = MlflowStore(machine)
    with answering(store, f"register {model_folder}"):
        _require_name(store, name)
        found = _with_digest(store, name, model.digest)
        if found is None:
            owner, location = _upload(store, model_folder, model.digest, name, run_id)
            facts = {clean_key(k): capped(str(v)) for k, v in tags.items()}
            found = store.client.create_model_version(
                name,
                location,
                owner,
                tags={**facts, DIGEST_TAG: model.digest},
                description=_description(facts, model.digest),
            )
        return _model_version(store, found)


def set_champion(machine: Machine, name: str, version: int | str, alias: str) -> ModelVersion:
    """Point an alias of a registered model at a version.

    Raises:
        NotFound: no such model or version.
        ConfigError: a name that cannot be an alias.
        ClusterError: MLflow fails.
    """
    if not _ALIAS.fullmatch(alias):
        raise ConfigError(
            f"alias '{alias}': use letters, digits, '_' and '-'; not 'latest', not a number"
        )
    store = MlflowStore(machine)
    with answering(store, f"set the alias {name}@{alias}"):
        found = _version(store, name, str(version))
        store.client.set_registered_model_alias(name, alias, found.version)
        return _model_version(store, found)


def champion(machine: Machine, name: str, alias: str) -> ModelVersion:
    """The version that an alias points at.

    Raises:
        NotFound: no such model or alias; the message lists those that exist.
        ClusterError: MLflow fails.
    """
    return find_version(machine, f"{name}@{alias}")


def alias_version(machine: Machine, name: str, alias: str) -> ModelVersion | None:
    """The version that an alias points at; None before there is such a model or alias.

    Raises:
        ClusterError: MLflow fails.
    """
    store = MlflowStore(machine)
    with answering(store, f"look up {name}@{alias}"):
        try:
            version = _registered(store, name).aliases.get(alias)
        except NotFound:
            return None
        return (
            None if version is None else _model_version(store, _version(store, name, str(version)))
        )


def tag_version(machine: Machine, version: ModelVersion, key: str, value: str) -> None:
    """Write a tag of a version, longer than those of a run may be.

    Raises:
        ConfigError: it is longer than a registry takes.
        ClusterError: MLflow fails.
    """
    if len(value) > MAX_VERSION_TAG:
        raise ConfigError(f"tag {key}: {len(value)} characters; a registry takes {MAX_VERSION_TAG}")
    store = MlflowStore(machine)
    with answering(store, f"write tag {key} of {version.reference}"):
        store.client.set_model_version_tag(version.name, str(version.version), key, value)


def is_reference(text: str) -> bool:
    """Whether it reads like `NAME@ALIAS` or `NAME/VERSION`."""
    return _REFERENCE.fullmatch(text.removeprefix(_MODELS)) is not None


def find_version(machine: Machine, reference: str) -> ModelVersion:
    """The version that `NAME@ALIAS` or `NAME/VERSION` stands for, also behind `models:/`.

    Raises:
        NotFound: no such model, alias or version; the message lists those that exist.
        ClusterError: MLflow fails.
    """
    parts = _REFERENCE.fullmatch(reference.removeprefix(_MODELS))
    if parts is None:
        raise NotFound(
            f"model '{reference}': no such folder; give a model folder, NAME@ALIAS or NAME/VERSION"
        )
    store = MlflowStore(machine)
    with answering(store, f"look up {reference}"):
        version = parts["version"] or _version_of_alias(store, parts["name"], parts["alias"])
        return _model_version(store, _version(store, parts["name"], version))


def fetch_model(machine: Machine, reference: str) -> Model:
    """A model, verified.

    Files of a local store are used where they are; those of a server are kept in the
    workspace by digest, so that each is downloaded once.

    Args:
        reference: a model folder, `NAME@ALIAS` or `NAME/VERSION`.

    Raises:
        ConfigError: an address of another kind, as hdfs://.
        NotFound: no such folder, model, alias or version; the message lists those that exist.
        IntegrityError: a file is not the one that was registered.
        ClusterError: MLflow fails.
    """
    folder = Path(reference).expanduser()
    if not reference.startswith(_MODELS):
        check_address(folder, "model")
    if is_address(folder) or folder.is_dir():
        return Model.open_verified(folder)
    version = find_version(machine, reference)
    return _checked(_local_folder(version.source) or _downloaded(machine, version), version)


def _checked(folder: Path, version: ModelVersion) -> Model:
    """The model in a folder, if it is the registered one."""
    try:
        model = Model.open_verified(folder)
    except (IntegrityError, NotFound) as error:
        raise type(error)(f"model {version.reference}: {error}") from None
    if model.digest != version.digest:
        raise IntegrityError(
            f"model {version.reference}: {folder} holds another model than was registered "
            f"(digest {model.digest[:12]}, not {version.digest[:12]}); register it again"
        )
    return model


def _local_folder(source: str) -> Path | None:
    parts = urllib.parse.urlparse(source)
    if parts.scheme == "file":
        return Path(urllib.request.url2pathname(parts.path))
    return Path(source) if not parts.scheme else None


def _downloaded(machine: Machine, version: ModelVersion) -> Path:
    """The version's files below the workspace; damaged ones are fetched again."""
    folder = Workspace(machine.workspace).downloaded_model(version.digest)
    try:
        if Model.open_verified(folder).digest == version.digest:
            return folder
    except (NotFound, IntegrityError):
        pass
    try:
        with atomic_folder(folder) as temporary:
            files = _download(machine, version, temporary / ".download")
            _checked(files, version)
            for file in files.iterdir():
                file.replace(temporary / file.name)
            shutil.rmtree(temporary / ".download", ignore_errors=True)
    except OSError:  # another process was faster; its files passed the same check
        if not is_sealed(folder):
            raise
    return folder


def _download(machine: Machine, version: ModelVersion, target: Path) -> Path:
    store = MlflowStore(machine)
    with answering(store, f"download {version.reference}"):
        return store.download(version.source, target)


def _upload(
    store: MlflowStore, folder: Path, digest: str, name: str, run_id: str | None
) -> tuple[str, str]:
    """Store the files with a run; the run's id and the place of the files."""
    if run_id is not None and not store.has_run(run_id):
        raise NotFound(f"MLflow run '{run_id}': not in {store.shown_uri}; leave it out or sync it")
    uid = f"register/{name}/{digest}"
    owner = run_id or store.open_run(uid, f"register {name}", {}, {DIGEST_TAG: digest})
    place = f"model-{digest[:12]}"  # a run that is tuned again keeps both models
    store.log_artifact(owner, folder, place)
    if run_id is None:
        store.client.set_terminated(owner, "FINISHED")
    return owner, f"{store.artifacts_of(owner).rstrip('/')}/{place}"


def _require_name(store: MlflowStore, name: str) -> None:
    try:
        store.client.get_registered_model(name)
    except Exception as error:
        if not is_missing(error):
            raise
        store.client.create_registered_model(
            name, description="Localizers with their thresholds; versions are told by digest."
        )


def _names(store: MlflowStore) -> list[str]:
    return [m.name for m in store.client.search_registered_models(max_results=1000)]


def _with_digest(store: MlflowStore, name: str, digest: str) -> Any:
    same = store.client.search_model_versions(
        f"name = '{name}' AND tag.`{DIGEST_TAG}` = '{digest}'", max_results=1
    )
    return same[0] if same else None


def _registered(store: MlflowStore, name: str) -> Any:
    try:
        return store.client.get_registered_model(name)
    except Exception as error:
        if not is_missing(error):
            raise
    names = _names(store)
    if not names:
        raise NotFound(f"unknown model '{name}': nothing is registered in {store.shown_uri} yet")
    raise NotFound(unknown_name("model", name, names))


def _version_of_alias(store: MlflowStore, name: str, alias: str) -> str:
    aliases = _registered(store, name).aliases
    if alias in aliases:
        return str(aliases[alias])
    if not aliases:
        raise NotFound(f"model '{name}' has no alias '{alias}', nor any other; use {name}/VERSION")
    raise NotFound(unknown_name(f"alias of model '{name}'", alias, aliases))


def _version(store: MlflowStore, name: str, version: str) -> Any:
    _registered(store, name)
    found = store.client.search_model_versions(f"name = '{name}'", max_results=1000)
    by_version = {str(v.version): v for v in found}
    if version not in by_version:
        raise NotFound(unknown_name(f"version of model '{name}'", version, by_version))
    return by_version[version]


def _model_version(store: MlflowStore, found: Any) -> ModelVersion:
    digest = found.tags.get(DIGEST_TAG)
    if digest is None:
        raise NotFound(
            f"model {found.name}/{found.version}: has no tag {DIGEST_TAG}, so it was not "
            "registered by wsol; register its folder"
        )
    return ModelVersion(
        name=found.name,
        version=int(found.version),
        digest=digest,
        uri=f"models:/{found.name}/{found.version}",
        run_id=found.run_id or None,
        source=store.here(found.source),
    )


def _description(facts: Mapping[str, str], digest: str) -> str:
    lines = "\n".join(f"- {key}: {value}" for key, value in sorted(facts.items()))
    return (
        "A localizer, complete: weights, thresholds, classes and preprocessing "
        f"(safetensors and JSON, digest {digest[:12]}).\n\n{lines}"
    ).rstrip()


@contextmanager
def answering(store: MlflowStore, doing: str) -> Iterator[None]:
    """Turn what MLflow raises into one of our errors, with what to do.

    Args:
        doing: what is done, as it follows "could not".
    """
    try:
        yield
    except WsolError:
        raise
    except Exception as error:  # MLflow, its databases and file stores raise all kinds
        problem = f"could not {doing}: {store.shown_uri}: {root_cause(error)}"
        if says_disk_full(problem):
            raise ResourceError(f"{problem}; free some space and run it again") from error
        advice = remedy(error, store.shown_uri) or GENERAL
        raise ClusterError(f"{problem}; {advice}") from error
