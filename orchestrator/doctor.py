"""Checks of `wsol doctor`. No check changes anything, and none imports Ray or torch."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

import psutil  # type: ignore[import-untyped]

from clusters.cluster import load_cluster
from clusters.local import Local
from orchestrator.config.names import check_names
from orchestrator.config.settings import Settings, load_settings, settings_file
from orchestrator.config.workspace import Workspace
from orchestrator.engine import surroundings
from orchestrator.provenance import requirements
from orchestrator.tracking.mlflow_store import sqlite_uri
from orchestrator.tracking.remedies import LOGIN, newer_schema, restore_experiment, upgrade_schema
from workloads import compile_cache
from workloads.errors import ConfigError, StorageError, WsolError, one_line
from workloads.files import entries
from workloads.storage.addresses import is_address, shown

_PYTHON = (3, 11)
_EXPERIMENT = "/api/2.0/mlflow/experiments/get-by-name"
_REVISION = re.compile(r'^(revision|down_revision)(?:: [^=]*)? = "(\w+)"', re.MULTILINE)
_GIB = 2**30
_LEAST_MEMORY_GB, _GOOD_MEMORY_GB = 2.0, 4.0
_LEAST_DISK_GB, _GOOD_DISK_GB = 1.0, 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `fix` says what to do if the status is not ok."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str | None = None


def examine(config: Path | None = None, overrides: tuple[str, ...] = ()) -> list[Check]:
    """All checks in a fixed order. Wrong settings are a finding; the rest then uses defaults."""
    settings, finding = _settings(config, overrides)
    checks = [check_python(), check_packages(), finding]
    for name, look in _CHECKS.items():
        try:
            checks.append(look(settings))
        except Exception as error:  # a broken machine must not stop the other checks
            checks.append(Check(name, "fail", f"{type(error).__name__}: {error}"))
    return checks


def examine_endpoint(url: str, key: str | None) -> list[Check]:
    """All checks of a running endpoint in a fixed order.

    Raises:
        ConfigError: `url` is no address.
    """
    from orchestrator.serve.checks import check_endpoint

    try:
        return [Check(*finding) for finding in check_endpoint(url, key)]
    except ValueError as error:
        raise ConfigError(f"--url: {error}") from None


def check_python() -> Check:
    """The interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] == _PYTHON:
        return Check("python", "ok", found)
    return Check("python", "fail", found, "use Python 3.11: `make` builds the environment")


def check_packages(required: list[str] | None = None) -> Check:
    """Every direct dependency, at a version that the project allows."""
    from packaging.requirements import Requirement

    problems, count = [], 0
    for requirement in map(Requirement, required or requirements()):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            problems.append(f"{requirement} is needed, found {found}")
    if problems:
        return Check("packages", "fail", "; ".join(problems), "run `make`: it installs the lock")
    return Check("packages", "ok", f"{count} packages at allowed versions")


def check_names_exist(settings: Settings) -> Check:
    """The cluster description, and the other names in the settings."""
    try:
        check_names(settings)
    except WsolError as error:
        return Check("names", "fail", str(error), "see `wsol list`")
    cluster = load_cluster(settings.cluster)
    return Check("names", "ok", f"cluster {cluster.name}: {cluster.summary}")


def check_cores(settings: Settings) -> Check:
    """CPUs of the cluster against those that training reserves."""
    cores = len(os.sched_getaffinity(0))
    cluster = load_cluster(settings.cluster)
    if not cluster.same_machine:
        return Check("cores", "ok", f"{cores} cores; the work is done on {cluster.name}")
    logical = (cluster.cpus if isinstance(cluster, Local) else None) or max(2, cores)
    resources = settings.resources.train
    needed = resources.least_workers * resources.cpus_per_worker
    detail = f"{cores} cores, {logical} for Ray; training takes {needed:g}"
    if needed > logical:
        return Check("cores", "fail", detail, "lower resources.train.workers")
    if cores < needed:
        return Check("cores", "warn", detail, "workers will share cores; it works, slowly")
    return Check("cores", "ok", detail)


def check_memory(settings: Settings) -> Check:
    """Free memory, within the limit of a container."""
    free = min(psutil.virtual_memory().available, _container_free()) / _GIB
    detail = f"{free:.1f} GiB free"
    if free < _LEAST_MEMORY_GB:
        return Check("memory", "fail", detail, f"free {_LEAST_MEMORY_GB:g} GiB at least")
    if free < _GOOD_MEMORY_GB:
        return Check("memory", "warn", detail, "use fewer workers and actors")
    return Check("memory", "ok", detail)


def check_shared_memory(settings: Settings) -> Check:
    """The file system in memory against Ray's object store."""
    cluster = load_cluster(settings.cluster)
    if not isinstance(cluster, Local):
        return Check("shared memory", "ok", f"{cluster.name} starts no Ray on this machine")
    wanted = cluster.object_store_mb * 2**20
    folder = Path("/dev/shm")  # noqa: S108 - looked at, nothing is put there
    if not folder.is_dir():
        return Check("shared memory", "ok", "this system has no /dev/shm")
    free = shutil.disk_usage(folder).free
    detail = f"{free / _GIB:.1f} GiB free in {folder}, object store {wanted / _GIB:.1f} GiB"
    if free < wanted:
        fix = "Ray falls back to slow files: give the container more (docker run --shm-size)"
        return Check("shared memory", "warn", detail, fix)
    return Check("shared memory", "ok", detail)


def check_workspace(settings: Settings) -> Check:
    """The workspace can be written and holds enough free space."""
    if is_address(settings.workspace):
        return _check_bucket(settings.workspace)
    folder = _existing(settings.workspace)
    if not folder.is_dir():
        return Check("workspace", "fail", f"{folder} is not a folder", "set another workspace")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("workspace", "fail", f"{folder} cannot be written", "set another workspace")
    free = shutil.disk_usage(folder).free / _GIB
    detail = f"{settings.workspace}, {free:.1f} GiB free"
    if free < _LEAST_DISK_GB:
        return Check("workspace", "fail", detail, f"free {_LEAST_DISK_GB:g} GiB at least")
    if free < _GOOD_DISK_GB:
        return Check("workspace", "warn", detail, "large data sets will not fit")
    return Check("workspace", "ok", detail)


def _check_bucket(workspace: Path) -> Check:
    """A workspace in object storage answers; nothing is written to try."""
    try:
        entries(workspace)
    except StorageError as error:
        return Check("workspace", "fail", str(error), "see docs/storage.md")
    return Check("workspace", "ok", f"{shown(workspace)} answers")


def check_gpu(settings: Settings) -> Check:
    """GPUs as the driver sees them, against those that the settings ask for."""
    cluster = load_cluster(settings.cluster)
    if not cluster.same_machine:
        return Check("gpu", "ok", f"not looked at; the work is done on {cluster.name}")
    found = _gpus()
    resources = settings.resources
    wanted = max(
        resources.train.least_workers * resources.train.gpus_per_worker,
        resources.evaluate.gpus_per_actor,
        resources.annotate.gpus_per_actor,
        settings.serve.gpus_per_replica,
    )
    detail = "; ".join(found) or "none"
    if wanted > len(found):
        fix = "set gpus_per_worker, gpus_per_actor and gpus_per_replica to 0, or add GPUs"
        return Check("gpu", "fail", f"{detail}; the settings ask for {wanted:g}", fix)
    if found and not wanted:
        fix = "set resources.train.gpus_per_worker to 1 to use it"
        return Check("gpu", "warn", f"{detail}; the settings ask for none", fix)
    return Check("gpu", "ok", detail if found else "none, and none is asked for")


def check_port(settings: Settings) -> Check:
    """The endpoint's address is free."""
    host, port = settings.serve.host, settings.serve.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        fix = "set another serve.host or serve.port; only `wsol serve` needs it"
        return Check("port", "warn", f"{host}:{port}: {error.strerror}", fix)
    return Check("port", "ok", f"{host}:{port} is free")


def check_compiled_code(settings: Settings) -> Check:
    """Compiled functions can be kept from one command to the next."""
    if compile_cache.is_writable_without_help():
        named = os.environ.get(compile_cache.VARIABLE)
        return Check("compiled code", "ok", named or "kept beside the source or in ~/.cache")
    fix = f"{compile_cache.REMEDY}, and that stays"
    return Check("compiled code", "warn", "packages and home cannot be written", fix)


def check_temporary_files(settings: Settings) -> Check:
    """Ray can open its sockets in the folder of temporary files."""
    folder = surroundings.temporary_folder()
    try:
        surroundings.check_temporary_folder()
    except WsolError as error:
        found, _, fix = str(error).rpartition("; ")
        needs_it = isinstance(load_cluster(settings.cluster), Local)
        return Check("temporary files", "fail" if needs_it else "warn", found, fix)
    return Check("temporary files", "ok", folder)


def check_tracking(settings: Settings) -> Check:
    """The tracking server answers, if one is set, and its database can be used."""
    uri, limit = settings.tracking.uri, settings.tracking.timeout_s
    if uri is None:
        return _check_database(settings)
    if not uri.startswith(("http:", "https:")):
        return Check("tracking", "ok", one_line(uri))
    try:
        # The line above leaves only the schemes of a web server.
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=limit):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            fix = "see the server's log"
            return Check("tracking", "warn", one_line(f"{uri}: HTTP {error.code}"), fix)
        if error.code in (401, 403) and "MLFLOW_TRACKING_USERNAME" not in os.environ:
            return Check("tracking", "warn", one_line(f"{uri}: HTTP {error.code}"), LOGIN)
    except (OSError, ValueError) as error:
        fix = "start it, or set tracking.uri to null for SQLite in the workspace"
        return Check("tracking", "fail", one_line(f"{uri}: {error}"), fix)
    lost = _deleted_experiment(uri, settings.tracking.experiment, limit)
    if lost is not None:
        shown, name = one_line(uri), settings.tracking.experiment
        found, _, fix = restore_experiment(shown, name, lost).partition("; ")
        return Check("tracking", "fail", found, fix)
    return Check("tracking", "ok", one_line(f"{uri} answers"))


def check_token(settings: Settings) -> Check:
    """Ray's token belongs to its owner alone."""
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        fix = "unset RAY_AUTH_MODE: without it, whoever reaches a Ray port runs code here"
        return Check("ray token", "warn", "RAY_AUTH_MODE=disabled", fix)
    path = surroundings.token_file()
    if path is None:
        return Check("ray token", "ok", "home cannot be written: each command has its own")
    if not path.exists():
        return Check("ray token", "ok", "none yet; the first command on Ray makes it")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check("ray token", "warn", f"{path} has mode {mode:04o}", f"chmod 600 {path}")
    return Check("ray token", "ok", f"{path} has mode {mode:04o}")


_CHECKS: dict[str, Callable[[Settings], Check]] = {
    "names": check_names_exist,
    "cores": check_cores,
    "memory": check_memory,
    "shared memory": check_shared_memory,
    "workspace": check_workspace,
    "gpu": check_gpu,
    "port": check_port,
    "compiled code": check_compiled_code,
    "temporary files": check_temporary_files,
    "tracking": check_tracking,
    "ray token": check_token,
}


def _settings(config: Path | None, overrides: tuple[str, ...]) -> tuple[Settings, Check]:
    try:
        settings = load_settings(config, overrides)
    except WsolError as error:
        fix = "see `wsol config schema` and the comments in ray_config.yaml"
        return Settings().resolved(), Check("settings", "fail", str(error), fix)
    file = settings_file(config)
    return settings, Check("settings", "ok", str(file) if file else "no file; the defaults")


def _deleted_experiment(uri: str, name: str, limit: float) -> str | None:
    """Id of the experiment of that name on a tracking server, if it was deleted.

    A server that does not say is no finding: that it answers was seen before.
    """
    address = f"{uri.rstrip('/')}{_EXPERIMENT}?{urlencode({'experiment_name': name})}"
    try:
        with urllib.request.urlopen(_request(address), timeout=limit) as answer:  # noqa: S310
            experiment = json.loads(answer.read())["experiment"]
            deleted = experiment["lifecycle_stage"] == "deleted"
            return str(experiment["experiment_id"]) if deleted else None
    except (OSError, ValueError, KeyError, TypeError):  # none of that name yet, or no MLflow
        return None


def _request(address: str) -> urllib.request.Request:
    """A request with the login that MLflow takes from the address or from the environment."""
    parts = urlsplit(address)
    user, password = parts.username, parts.password
    if user is None:
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))  # noqa: S310
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user is not None:
        login = base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    elif token:
        request.add_header("Authorization", f"Bearer {token}")
    return request


def _check_database(settings: Settings) -> Check:
    """The database of the workspace, read without MLflow, which would change it."""
    try:
        settings.check_tracking()
    except WsolError as error:
        return Check("tracking", "fail", str(error), "see docs/storage.md")
    path = Workspace(settings.workspace).tracking_database
    if not path.exists():
        return Check("tracking", "ok", "SQLite in the workspace")
    name, uri = settings.tracking.experiment, sqlite_uri(path)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            revision = database.execute("SELECT version_num FROM alembic_version").fetchone()
            query = "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?"
            experiment = database.execute(query, (name,)).fetchone()
    except sqlite3.Error as error:
        fix = "restore it from a copy, or move it away: runs are tracked anew then"
        return Check("tracking", "fail", f"{path}: {error}", fix)
    known, newest = _schema_revisions()
    if revision and revision[0] != newest:
        found = f"{path}: schema {revision[0]}, this MLflow has {newest}"
        fix = upgrade_schema(uri) if revision[0] in known else newer_schema()
        return Check("tracking", "fail", found, fix)
    if experiment and experiment[1] == "deleted":
        found, _, fix = restore_experiment(uri, name, str(experiment[0])).partition("; ")
        return Check("tracking", "fail", found, fix)
    return Check("tracking", "ok", "SQLite in the workspace")


def _schema_revisions() -> tuple[set[str], str]:
    """Revisions of MLflow's schema that the installed one knows, and the newest of them."""
    package = importlib.util.find_spec("mlflow")
    places = package.submodule_search_locations or [] if package else []
    before = {}
    for place in places:
        for file in Path(place, "store", "db_migrations", "versions").glob("*.py"):
            found = dict(_REVISION.findall(file.read_text(encoding="utf-8")))
            if "revision" in found:
                before[found["revision"]] = found.get("down_revision")
    (newest,) = before.keys() - set(before.values())
    return set(before), newest


def _existing(path: Path) -> Path:
    return next((p for p in (path, *path.parents) if p.exists()), Path("/"))


def _container_free() -> float:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        pages = dict(line.split() for line in _lines((folder / "memory.stat").read_text()))
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return float("inf")
    return limit - used + int(pages.get("inactive_file", 0))  # the kernel gives those back


def _gpus() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return list(_lines(done.stdout))


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())
