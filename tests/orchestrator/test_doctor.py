"""`wsol doctor`: each check says ok, warn or fail, and what to do."""

from __future__ import annotations

import http.server
import json
import os
import re
import socket
import sqlite3
import threading
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import doctor
from orchestrator.cli.main import app
from orchestrator.config.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_CONFIG", raising=False)
    return load_settings(None, (f"serve.port={free_port()}",))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def changed(settings: Settings, **values: Any) -> Settings:
    return settings.model_copy(update=values)


def invoke(*words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["doctor", "-o", "json", *words], catch_exceptions=False)
    assert done.stderr == ""
    return done.exit_code, json.loads(done.stdout)


def test_all_checks_are_reported_in_order(settings):
    code, found = invoke("--set", f"serve.port={settings.serve.port}")
    names = [check["name"] for check in found["checks"]]
    assert names == ["python", "packages", "settings", *doctor._CHECKS]
    assert {check["status"] for check in found["checks"]} <= {"ok", "warn", "fail"}
    assert all(check["fix"] for check in found["checks"] if check["status"] != "ok")
    assert found["ok"] == (code == 0)


def test_wrong_settings_are_a_finding_and_end_with_7(settings):
    code, found = invoke("--set", "clutser=local")
    by_name = {check["name"]: check for check in found["checks"]}
    assert code == 7
    assert by_name["settings"]["status"] == "fail"
    assert "did you mean 'cluster'" in by_name["settings"]["detail"]
    assert by_name["names"]["status"] == "ok"  # of the defaults


def test_the_table_names_every_check(settings):
    done = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert all(name in done.stdout for name in doctor._CHECKS)


def test_a_check_that_breaks_does_not_stop_the_others(settings, monkeypatch):
    def broken(_: Settings) -> doctor.Check:
        raise OSError("no such thing")

    monkeypatch.setitem(doctor._CHECKS, "memory", broken)
    checks = {check.name: check for check in doctor.examine()}
    assert checks["memory"].status == "fail"
    assert checks["memory"].detail == "OSError: no such thing"
    assert "ray token" in checks


def test_names(settings):
    assert doctor.check_names_exist(settings).status == "ok"
    wrong = doctor.check_names_exist(changed(settings, cluster="moon"))
    assert (wrong.status, "unknown cluster" in wrong.detail) == ("fail", True)


@pytest.mark.parametrize(
    ("requirements", "status", "detail"),
    [
        (["pytest>=8"], "ok", "1 packages at allowed versions"),
        (["pytest>=8", 'gone>1 ; extra == "dev"'], "ok", "1 packages"),
        (["pytest>=999"], "fail", "pytest>=999 is needed, found"),
        (["no-such-package"], "fail", "no-such-package is missing"),
    ],
)
def test_packages(requirements, status, detail):
    check = doctor.check_packages(requirements)
    assert check.status == status
    assert detail in check.detail


def test_the_projects_own_packages_are_here():
    assert doctor.check_packages().status == "ok"


@pytest.mark.parametrize(
    ("cores", "workers", "status"), [(4, 2, "ok"), (1, 2, "warn"), (2, 3, "fail")]
)
def test_cores(settings, monkeypatch, cores, workers, status):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    wanted = load_settings(None, (f"resources.train.workers={workers}",))
    assert doctor.check_cores(wanted).status == status


@pytest.mark.parametrize(("free", "status"), [(8.0, "ok"), (3.0, "warn"), (1.0, "fail")])
def test_memory(settings, monkeypatch, free, status):
    monkeypatch.setattr(doctor, "_container_free", lambda: free * 2**30)
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: Usage(32))
    assert doctor.check_memory(settings).status == status


class Usage:
    """Free space as psutil and shutil give it."""

    def __init__(self, free_gb: float) -> None:
        self.free = self.available = int(free_gb * 2**30)


@pytest.mark.parametrize(("free", "status"), [(8.0, "ok"), (3.0, "warn"), (0.5, "fail")])
def test_free_disk(settings, monkeypatch, free, status):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(free))
    assert doctor.check_workspace(settings).status == status


@pytest.mark.parametrize(("free", "status"), [(8.0, "ok"), (0.06, "warn")])
def test_shared_memory(settings, monkeypatch, free, status):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(free))
    assert doctor.check_shared_memory(settings).status == status


def test_the_workspace_is_looked_at_and_not_made(settings):
    assert doctor.check_workspace(settings).status in ("ok", "warn")
    assert not settings.workspace.exists()


def test_a_workspace_that_is_a_file(settings, tmp_path):
    (tmp_path / "file").write_text("")
    check = doctor.check_workspace(changed(settings, workspace=tmp_path / "file"))
    assert check.status == "fail"


def test_a_workspace_that_cannot_be_written(settings, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert doctor.check_workspace(settings).status == "fail"


@pytest.mark.parametrize(
    ("found", "workers_gpus", "status"),
    [([], 0, "ok"), ([], 1, "fail"), (["A"], 0, "warn"), (["A"], 1, "fail"), (["A", "B"], 1, "ok")],
)
def test_gpus(settings, monkeypatch, found, workers_gpus, status):
    monkeypatch.setattr(doctor, "_gpus", lambda: found)
    wanted = load_settings(None, (f"resources.train.gpus_per_worker={workers_gpus}",))
    assert doctor.check_gpu(wanted).status == status  # two workers by default


def test_gpus_without_the_tool_of_the_driver(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor._gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB'\n")
    tool.chmod(0o755)
    assert doctor._gpus() == ["NVIDIA H100, 81559 MiB"]


def test_an_occupied_port(settings):
    assert doctor.check_port(settings).status == "ok"
    with socket.socket() as other:
        other.bind((settings.serve.host, settings.serve.port))
        other.listen()
        check = doctor.check_port(settings)
    assert (check.status, "in use" in check.detail) == ("warn", True)


class Health(http.server.BaseHTTPRequestHandler):
    """A tracking server that answers with the port's last digit as its mood."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(("answer", "status"), [(200, "ok"), (404, "ok"), (503, "warn")])
def test_a_tracking_server_that_answers(settings, monkeypatch, answer, status):
    monkeypatch.setattr(Health, "status", answer)
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert track(settings, f"http://127.0.0.1:{server.server_port}/").status == status
        server.shutdown()


class Experiments(http.server.BaseHTTPRequestHandler):
    """An MLflow server that asks for a login and knows one experiment, deleted or not."""

    stage = "deleted"

    def do_GET(self) -> None:
        if self.path == "/ml/health":
            self.send_response(200)
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        known = path == "/ml/api/2.0/mlflow/experiments/get-by-name"
        known = known and query == "experiment_name=my+own%26"
        known = known and self.headers["Authorization"] == "Basic " + b64encode(b"me:s@").decode()
        self.send_response(200 if known else 404)
        self.end_headers()
        if known:
            experiment = {"experiment_id": "7", "lifecycle_stage": self.stage}
            self.wfile.write(json.dumps({"experiment": experiment}).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("stage", "name", "status"),
    [("deleted", "my own&", "fail"), ("active", "my own&", "ok"), ("deleted", "another", "ok")],
)
def test_a_deleted_experiment_of_a_server_is_seen(settings, monkeypatch, stage, name, status):
    monkeypatch.setattr(Experiments, "stage", stage)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s@")
    tracking = settings.tracking.model_copy(update={"experiment": name})
    with http.server.HTTPServer(("127.0.0.1", 0), Experiments) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}/ml"
        check = track(changed(settings, tracking=tracking), uri)
        server.shutdown()
    assert check.status == status
    if status == "fail":
        assert check.detail == "experiment 'my own&' was deleted"
        assert f"MLFLOW_TRACKING_URI='{uri}' mlflow experiments restore" in check.fix
        assert "--experiment-id 7" in check.fix


def test_a_tracking_server_that_does_not(settings):
    check = track(settings, f"http://user:secret@127.0.0.1:{free_port()}")
    assert check.status == "fail"
    assert "secret" not in check.detail
    assert check.fix
    assert track(settings, "http://[").status == "fail"


def test_a_tracking_database_is_not_asked(settings):
    assert doctor.check_tracking(settings).detail == "SQLite in the workspace"
    assert track(settings, "sqlite:///x.db").status == "ok"


def track(settings: Settings, uri: str) -> doctor.Check:
    tracking = settings.tracking.model_copy(update={"uri": uri, "timeout_s": 5.0})
    return doctor.check_tracking(changed(settings, tracking=tracking))


def test_the_page_on_environments_has_every_check_in_their_order(settings):
    page = Path(__file__).parents[2] / "docs" / "environment.md"
    rows = re.findall(r"^\| `([^`]+)` \|(.*)\|$", page.read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == [check.name for check in doctor.examine()]
    for name, row in rows:
        assert all(cell.strip() for cell in row.split("|")[:3]), name


@pytest.mark.parametrize(("mode", "status"), [(0o600, "ok"), (0o400, "ok"), (0o644, "warn")])
def test_the_token_is_its_owners_alone(settings, monkeypatch, tmp_path, mode, status):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    path = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    assert doctor.check_token(settings).status == "ok"
    path.write_text("x")
    path.chmod(mode)
    check = doctor.check_token(settings)
    assert check.status == status
    assert check.fix == (None if status == "ok" else f"chmod 600 {path}")


def test_authentication_turned_off(settings, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert doctor.check_token(settings).status == "warn"


def test_a_container_without_a_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "Path", lambda _: tmp_path)
    assert doctor._container_free() == float("inf")
    for name, text in {"max": "max", "current": "10", "stat": "inactive_file 4\nanon 6"}.items():
        Path(tmp_path, f"memory.{name}").write_text(text)
    assert doctor._container_free() == float("inf")
    Path(tmp_path, "memory.max").write_text("100")
    assert doctor._container_free() == 94


def test_a_database_of_another_mlflow_or_without_its_experiment(settings):
    """Made by hand, with the two tables that are looked at."""
    settings.workspace.mkdir()
    known, newest = doctor._schema_revisions()
    older = min(known - {newest})
    cases = [
        (newest, "active", "ok", ""),
        (newest, "deleted", "fail", "experiments restore --experiment-id 7"),
        (older, "active", "fail", "mlflow db upgrade"),
        ("0123456789ab", "active", "fail", "newer MLflow"),
    ]
    for revision, stage, status, advice in cases:
        path = settings.workspace / "mlflow.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE alembic_version (version_num)")
            database.execute("CREATE TABLE experiments (experiment_id, name, lifecycle_stage)")
            database.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
            database.execute("INSERT INTO experiments VALUES (7, 'wsol', ?)", (stage,))
            database.commit()
        check = doctor.check_tracking(settings)
        assert check.status == status, (revision, stage, check)
        assert advice in (check.fix or "")
    path.write_bytes(b"no database at all, and longer than its head of 16 bytes")
    assert doctor.check_tracking(settings).status == "fail"


def test_a_tracking_server_that_asks_who_it_is(settings, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    monkeypatch.setattr(Health, "status", 401)
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        check = track(settings, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert check.status == "warn"
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in check.fix


def test_temporary_files(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", "/" + "t" * 100)
    check = doctor.check_temporary_files(settings)
    assert (check.status, "set RAY_TMPDIR" in check.fix) == ("fail", True)
    assert doctor.check_temporary_files(changed(settings, cluster="inline")).status == "warn"
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert doctor.check_temporary_files(settings).status == "ok"


def test_compiled_code(settings, monkeypatch):
    assert doctor.check_compiled_code(settings).status == "ok"
    monkeypatch.setattr(doctor.compile_cache, "is_writable_without_help", lambda: False)
    check = doctor.check_compiled_code(settings)
    assert (check.status, "NUMBA_CACHE_DIR" in check.fix) == ("warn", True)
