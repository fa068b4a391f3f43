"""Endpoints of a cluster over a stand-in of Ray's web API: what is asked for, and what is said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from samples import make_model

from orchestrator.config.settings import Settings
from orchestrator.serve.configuration import write_configuration
from orchestrator.serve.deployments import Deployments
from workloads.errors import ClusterError, ConfigError, NotFound, WsolError

TOKEN = "secret"


class Ray:
    """Takes configurations as Ray does, and reports them in a state of choice."""

    def __init__(self) -> None:
        self.applications: dict[str, dict[str, Any]] = {}
        self.puts: list[dict[str, Any]] = []
        self.state, self.message, self.broken = "RUNNING", "", False

    def details(self) -> dict[str, Any]:
        return {
            "controller_info": {},
            "applications": {
                name: {
                    "status": self.state,
                    "message": self.message,
                    "route_prefix": one["route_prefix"],
                    "deployed_app_config": one,
                    "deployments": {
                        "Detector": {"replicas": [{"state": "RUNNING"}, {"state": "STARTING"}]}
                    },
                }
                for name, one in self.applications.items()
            },
        }

    def put(self, values: dict[str, Any]) -> None:
        self.puts.append(values)
        self.applications = {one["name"]: one for one in values["applications"]}


@pytest.fixture
def ray() -> Ray:
    return Ray()


@pytest.fixture
def endpoints(ray: Ray) -> Iterator[Deployments]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, value: object) -> None:
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}" and not ray.broken
            self.send_response(200 if allowed else 500)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def do_GET(self) -> None:
            assert self.path == "/api/serve/applications/"
            self._answer(ray.details())

        def do_PUT(self) -> None:
            ray.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer({})

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    class Cluster:
        name = "mine"

        def submit_address(self) -> str:
            return f"http://127.0.0.1:{server.server_port}"

        def token(self) -> str:
            return TOKEN

    try:
        yield Deployments(Cluster())  # type: ignore[arg-type]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_one_is_put_beside_others_and_taken_away(
    endpoints: Deployments, ray: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "cats", seed=0)
    monkeypatch.chdir(tmp_path)
    endpoints.deploy(Settings(), "dogs@champion", "wsol", follow=True)
    endpoints.deploy(Settings(), "cats", "cats", follow=False)
    assert {name: one["route_prefix"] for name, one in ray.applications.items()} == {
        "wsol": "/", "cats": "/cats",
    }  # fmt: skip
    arguments = ray.applications["wsol"]["args"]
    assert (arguments["model"], arguments["follow"]) == ("dogs@champion", True)
    assert arguments["settings"]["cluster"] == "joined"
    assert ray.applications["cats"]["args"]["model"] == str(tmp_path / "cats")
    assert ray.puts[0]["http_options"] == {"host": "127.0.0.1", "port": 8000}
    found = endpoints.get("cats")
    assert (found.state, found.route, found.replicas) == ("RUNNING", "/cats", {"Detector": 1})
    endpoints.undeploy("wsol")
    assert [one.name for one in endpoints.all()] == ["cats"]
    with pytest.raises(NotFound, match="unknown endpoint 'cat'; did you mean 'cats'"):
        endpoints.undeploy("cat")


def test_an_endpoint_that_fails_says_why(endpoints: Deployments, ray: Ray) -> None:
    endpoints.deploy(Settings(), "dogs@champion", "wsol", follow=False)
    ray.state, ray.message = "DEPLOY_FAILED", "Traceback\n  ...\nNotFound: no such model"
    with pytest.raises(WsolError, match=r"does not start: NotFound: no such model"):
        endpoints.wait("wsol", 5, lambda _: None)
    ray.state = "DEPLOYING"
    said: list[str] = []
    with pytest.raises(WsolError, match=r"is DEPLOYING after 0\.1 s: .*wsol deployments wsol"):
        endpoints.wait("wsol", 0.1, said.append)
    assert said == ["wsol: endpoint 'wsol': DEPLOYING"]
    ray.state = "RUNNING"
    assert endpoints.wait("wsol", 5, lambda _: None).message == ""


def test_a_cluster_that_does_not_answer(endpoints: Deployments, ray: Ray) -> None:
    ray.broken = True
    with pytest.raises(ClusterError, match=r"cannot ask for endpoints: .*500"):
        endpoints.all()


def test_an_open_door_needs_keys(endpoints: Deployments, ray: Ray) -> None:
    settings = Settings.model_validate({"serve": {"host": "0.0.0.0"}})
    with pytest.raises(ConfigError, match="no API keys are set"):
        endpoints.deploy(settings, "dogs@champion", "wsol", follow=False)
    assert ray.puts == []


@pytest.mark.filterwarnings("ignore:::ray")
def test_files_that_others_start(tmp_path: Path) -> None:
    from ray.serve.schema import ServeDeploySchema

    words = ["serve.keys_file=/keys/file", "serve.replicas=[1, 4]"]
    files = write_configuration(tmp_path, "cats@champion", words, follow=True)
    assert [file.name for file in files] == ["serve.yaml", "rayservice.yaml"]
    values = yaml.safe_load(files[0].read_text())
    (application,) = ServeDeploySchema.model_validate(values).applications
    assert application.args == {
        "model": "cats@champion", "follow": True, "overrides": words, "host": "0.0.0.0",
    }  # fmt: skip
    service = yaml.safe_load(files[1].read_text())
    assert service["kind"] == "RayService"
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == values
