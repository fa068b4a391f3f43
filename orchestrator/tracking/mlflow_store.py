"""MLflow with limits, without its chatter and without its global state.

The only module that imports MLflow; everything else asks a `MlflowStore`.
"""

from __future__ import annotations

import logging
import math
import os
import posixpath
import re
import sqlite3
import tempfile
import threading
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import Workspace
from orchestrator.tracking.remedies import remedy, restore_experiment
from workloads.artifacts import copy_file
from workloads.errors import ConfigError, WsolError, one_line
from workloads.storage.addresses import absolute, is_address, shown
from workloads.storage.storage import storage_of

RUN_TAG = "wsol.run"
MAX_VALUE = 500  # characters of a parameter or tag: what every version of a server takes
_MAX_KEY = 250
_MAX_BATCH = 100  # parameters or tags in one call
_SLOWEST_BYTES_PER_S = 2**20
_SERVERS = ("http", "https")  # they know themselves where artifacts go


class MlflowStore:
    """The tracking server of the machine, or the database in the workspace.

    Nothing is contacted before the first question. All methods raise what MLflow raises.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._workspace = Workspace(absolute(machine.workspace))
        self._lock = threading.RLock()
        self._client: Any = None
        self._experiment: str | None = None
        self._parents: dict[str, str] = {}
        machine.check_tracking()
        self.uri = machine.tracking.uri or sqlite_uri(self._workspace.tracking_database)
        _load_mlflow(machine)

    @property
    def shown_uri(self) -> str:
        """The address without a password."""
        return one_line(self.uri)

    @property
    def client(self) -> Any:
        """The `MlflowClient`; the first use of a new database takes seconds."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def experiment(self) -> str:
        """Id of the experiment of all runs; it is made when it is missing.

        Raises:
            ConfigError: it was deleted.
        """
        with self._lock:
            if self._experiment is None:
                name = self._machine.tracking.experiment
                found = self.client.get_experiment_by_name(name)
                if found and found.lifecycle_stage == "deleted":
                    uri, lost = self.shown_uri, found.experiment_id
                    raise ConfigError(restore_experiment(uri, name, lost))
                self._experiment = found.experiment_id if found else self._create(name)
            return self._experiment

    def forget(self) -> None:
        """Look everything up again: the server may have come back with another database."""
        with self._lock:
            self._experiment = None
            self._parents.clear()

    def find_run(self, uid: str) -> str | None:
        """Id of the run that carries this unique id, the oldest if there are several."""
        runs = self.client.search_runs(
            [self.experiment()],
            f"tags.`{RUN_TAG}` = '{tag_of(uid)}'",
            max_results=1,
            order_by=["attributes.start_time ASC"],
        )
        return str(runs[0].info.run_id) if runs else None

    def has_run(self, run_id: str) -> bool:
        """Whether MLflow knows a run by this id of its own."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_run(run_id)
        except MlflowException as error:
            if is_missing(error) or error.error_code == "INVALID_PARAMETER_VALUE":
                return False
            raise
        return True

    def open_run(
        self,
        uid: str,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        started_ms: int | None = None,
    ) -> str:
        """Id of the run with this unique id: a new one, or the one there is, running again.

        MLflow keeps the first value of a parameter; what changed is in `wsol.changed_params`.
        """
        found = self.find_run(uid)
        named = _run_tags(uid, tags)
        if found is None:
            run = self.client.create_run(self.experiment(), started_ms, named, run_name=name)
            self._log(run.info.run_id, params, {})
            return str(run.info.run_id)
        self.client.update_run(found, status="RUNNING", name=name)
        old = self.client.get_run(found).data.params
        changed = [f"{k}: {old[k]} -> {v}" for k, v in params.items() if old.get(k, v) != v]
        if changed:
            named["wsol.changed_params"] = capped("; ".join(changed))
        self._log(found, {k: v for k, v in params.items() if k not in old}, named)
        return found

    def parent_id(self, parent: str) -> str:
        """Id of the run that `parent`, a unique id or MLflow's id, stands for; it may be new."""
        with self._lock:
            if parent not in self._parents:
                found = self.find_run(parent)
                if found is None and self.has_run(parent):
                    found = parent
                # not sent yet: it gets its name and parameters when it is
                self._parents[parent] = found or self.open_run(parent, parent, {}, {})
            return self._parents[parent]

    def log_metrics(self, run_id: str, metrics: list[tuple[str, float, int, int]]) -> None:
        """Log (name, value, time in ms, step), at most 1000; equal ones are stored once."""
        from mlflow.entities import Metric

        self.client.log_batch(run_id, metrics=[Metric(*m) for m in metrics], synchronous=True)

    def log_artifact(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Store a file, or all of a folder, in `folder` among the run's artifacts."""
        with _on_this_machine(path) as local:
            self._log_artifact(run_id, local, folder)

    def _log_artifact(self, run_id: str, path: Path, folder: str | None) -> None:
        files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
        place = self._artifacts(run_id)
        with self.transfer(sum(p.stat().st_size for p in files)):
            if path.is_dir():
                place.log_artifacts(str(path), folder)
            else:
                place.log_artifact(str(path), folder)

    def artifacts_of(self, run_id: str) -> str:
        """The place of the artifacts of a run."""
        return self.here(self.client.get_run(run_id).info.artifact_uri)

    def here(self, place: str) -> str:
        """The place that something among the artifacts of the workspace has now.

        MLflow keeps whole paths, those of when an experiment was made; the workspace may have
        moved since, or been copied. Other places stay as they are.
        """
        parts = urllib.parse.urlparse(place)
        if self._machine.tracking.uri is not None or parts.scheme not in ("", "file"):
            return place
        path = Path(urllib.request.url2pathname(parts.path) if parts.scheme else place)
        home = self._workspace.tracking_artifacts
        if home in path.parents or home.name not in path.parts:
            return place
        last = len(path.parts) - path.parts[::-1].index(home.name)
        moved = home.joinpath(*path.parts[last:])
        return moved.as_uri() if parts.scheme else str(moved)

    def download(self, source: str, target: Path) -> Path:
        """Copy artifacts from wherever they are to a folder below `target`."""
        from mlflow.artifacts import download_artifacts

        target.mkdir(parents=True)
        return Path(
            download_artifacts(
                artifact_uri=source,
                dst_path=str(target),
                tracking_uri=self.uri,
                registry_uri=self.uri,
            )
        )

    @contextmanager
    def transfer(self, size: int) -> Iterator[None]:
        """Wait longer for the server's answer while `size` bytes go over the network."""
        _limit(self._machine, extra_s=size / _SLOWEST_BYTES_PER_S)
        try:
            yield
        finally:
            _limit(self._machine)

    def _artifacts(self, run_id: str) -> Any:
        """MLflow's access to the artifacts of a run."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(self.artifacts_of(run_id), tracking_uri=self.uri)

    def _log(self, run_id: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        for part in _parts([Param(k, v) for k, v in params.items()]):
            self.client.log_batch(run_id, params=part, synchronous=True)
        for part in _parts([RunTag(k, v) for k, v in tags.items()]):
            self.client.log_batch(run_id, tags=part, synchronous=True)

    def _connect(self) -> Any:
        from mlflow import MlflowClient

        # in a thread `catch_warnings` would change the filters of all threads
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
        if self._machine.tracking.uri is None:
            _check_database(self._workspace.tracking_database)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _create(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        artifacts = self._workspace.tracking_artifacts
        is_server = urllib.parse.urlparse(self.uri).scheme in _SERVERS
        location = None if is_server else _uri(artifacts)
        try:
            return str(self.client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another process was faster
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)


@contextmanager
def _on_this_machine(path: Path) -> Iterator[Path]:
    """A file or folder that MLflow can read: it takes no addresses to store from."""
    if not is_address(path):
        yield path
        return
    storage = storage_of(path)
    with tempfile.TemporaryDirectory(prefix="wsol-") as scratch:
        copied = Path(scratch, path.name)
        for source in [path] if storage.exists(path) else storage.files(path):
            target = copied / source.relative_to(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(source, target)
        yield copied


def _uri(folder: Path) -> str:
    return shown(folder) if is_address(folder) else folder.as_uri()


def root_cause(error: BaseException) -> str:
    """The innermost cause of an error, on one short line."""
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = inner
    text = one_line(str(error)) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"


def problem_of(error: BaseException, uri: str) -> str:
    """An error on one line, with what to do about it if that is known."""
    if isinstance(error, WsolError):
        return str(error)
    known = remedy(error, uri)
    return f"{root_cause(error)}; {known}" if known else root_cause(error)


def is_missing(error: BaseException) -> bool:
    """Whether MLflow says that a run, model or version does not exist."""
    return getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as `a.b`; names and values in the length and letters that MLflow takes."""
    found: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{name}."))
        else:
            found[clean_key(name)] = capped(str(value))
    return found


def clean_key(key: str) -> str:
    """A name of a parameter, metric or tag in the letters that MLflow takes."""
    letters = re.sub(r"[^\w./: -]", "_", key)
    path = posixpath.normpath(letters).lstrip("./")  # MLflow refuses a//b, a/../b and /a
    return path[:_MAX_KEY] or "_"


def capped(value: str) -> str:
    """A value cut to the length that MLflow takes."""
    return value if len(value) <= MAX_VALUE else value[: MAX_VALUE - 1] + "…"


def tag_of(uid: str) -> str:
    """A unique id as a tag that can stand in a search: quotes and newlines are escaped."""
    return urllib.parse.quote(uid, safe="/:@ ")


def _run_tags(uid: str, tags: Mapping[str, str]) -> dict[str, str]:
    named = {clean_key(key): capped(str(value)) for key, value in tags.items()}
    source = {"mlflow.source.name": "wsol", "mlflow.source.type": "JOB"}
    return {**source, **named, RUN_TAG: tag_of(uid)}


def _parts(entities: list[Any]) -> Iterator[list[Any]]:
    return (entities[i : i + _MAX_BATCH] for i in range(0, len(entities), _MAX_BATCH))


def sqlite_uri(path: Path) -> str:
    """The address of a database file; what means something in an address is quoted.

    With the driver's name then: of an address without it, MLflow makes the quoted folder too.
    """
    text = str(path)
    if "?" not in text and urllib.parse.unquote(text) == text:
        return f"sqlite:///{text}"
    return f"sqlite+pysqlite:///{text.replace('%', '%25').replace('?', '%3F')}"


def _check_database(path: Path) -> None:
    """Fail at once where MLflow would try for minutes: no folder, no permission, no database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_database(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA schema_version")


def _make_database(path: Path) -> None:
    """A new database, whole or not at all: one that was killed half-made would never work again."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        fresh = Path(folder) / path.name
        MlflowClient(tracking_uri=sqlite_uri(fresh)).search_experiments(max_results=1)
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass  # another process was faster
        except OSError:  # a file system without hard links
            if not path.exists():
                fresh.replace(path)


def _load_mlflow(machine: Machine) -> None:
    """Import MLflow with our limits; it keeps quiet and reports to nobody.

    Here and not at the top: what follows has to be set before the import.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # stdout is for answers
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    _limit(machine)
    import mlflow  # noqa: F401

    # urllib3 warns of every repeated call; one line of ours says it better
    for chatty in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def _limit(machine: Machine, extra_s: float = 0.0) -> None:
    # MLflow reads them at every call, and takes whole seconds only
    timeout_s = math.ceil(machine.tracking.timeout_s + extra_s)
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(timeout_s)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = str(machine.tracking.retries)
