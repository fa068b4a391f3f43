"""Endpoints that a cluster goes on running: put there, looked at and taken away over Ray's web API.

Ray takes the configuration of all applications at once, so each change is one of the whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from clusters.base import Cluster, Remote
from clusters.web import WebError, call, call_json
from orchestrator.config.settings import Settings
from orchestrator.jobs.package import package
from orchestrator.jobs.ray_jobs import RayJobs, address_of
from orchestrator.serve.serve import require_keys
from workloads.errors import ClusterError, NotFound, WsolError, one_line, unknown_name
from workloads.files import is_folder
from workloads.storage.addresses import absolute

BUILD = "orchestrator.serve.ray_serve:build"
_PATH = "/api/serve/applications/"
_TIMEOUT_S = 60.0
_LOOK_S = 1.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Deployment:
    """An endpoint on a cluster, as Ray sees it.

    Attributes:
        state: RUNNING, DEPLOYING, DEPLOY_FAILED, UNHEALTHY, DELETING, NOT_STARTED.
        route: path under which it answers; "" once it has none.
        model: what it was deployed with.
        replicas: copies that run, by deployment.
        message: why it is not as it should be; "" if it is.
    """

    name: str
    state: str
    route: str
    model: str
    replicas: dict[str, int]
    message: str


class Deployments:
    """The endpoints of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._address, self._token = cluster.submit_address(), cluster.token()

    def deploy(self, settings: Settings, model: str, name: str, *, follow: bool) -> None:
        """Start an endpoint, or change it; requests go on being answered meanwhile.

        Raises:
            ConfigError: it would be open to others without keys.
            ClusterError: the cluster does not answer, or refuses.
        """
        require_keys(settings.serve)
        folder = Path(model).expanduser()
        joined = settings.model_copy(update={"cluster": "joined"})
        wanted = {
            "name": name,
            "route_prefix": "/" if name == "wsol" else f"/{name}",
            "import_path": BUILD,
            "runtime_env": self._code(),
            "args": {
                "model": str(absolute(folder)) if is_folder(folder) else model,
                "follow": follow,
                "settings": joined.model_dump(mode="json"),
            },
        }
        others = [one for one in self._configured() if one["name"] != name]
        options = {"host": settings.serve.host, "port": settings.serve.port}
        self._put([*others, wanted], options)

    def undeploy(self, name: str) -> None:
        """Take an endpoint away, once it has answered what it works on.

        Raises:
            NotFound: there is none of that name.
        """
        configured = self._configured()
        names = [one["name"] for one in configured]
        if name not in names:
            raise NotFound(unknown_name("endpoint", name, names))
        self._put([one for one in configured if one["name"] != name])

    def all(self) -> list[Deployment]:
        """All endpoints, also those that others than this project put there."""
        return [_deployment(name, one) for name, one in self._details()["applications"].items()]

    def get(self, name: str) -> Deployment:
        """One of them.

        Raises:
            NotFound: there is none of that name.
        """
        found = {one.name: one for one in self.all()}
        if name not in found:
            raise NotFound(unknown_name("endpoint", name, found))
        return found[name]

    def wait(self, name: str, timeout_s: float, say: Callable[[str], None]) -> Deployment:
        """Wait until an endpoint answers.

        Raises:
            WsolError: it failed; the message has Ray's reason. Or it takes too long.
        """
        give_up, said = time.monotonic() + timeout_s, ""
        while True:
            found = self.get(name)
            if found.state == "RUNNING":
                return found
            if found.state == "DEPLOY_FAILED":
                raise WsolError(f"endpoint '{name}' does not start: {found.message}")
            if time.monotonic() > give_up:
                raise WsolError(
                    f"endpoint '{name}' is {found.state} after {timeout_s:g} s: {found.message}; "
                    f"look again with wsol deployments {name}"
                )
            if found.state != said:
                say(f"wsol: endpoint '{name}': {found.state}")
                said = found.state
            time.sleep(_LOOK_S)

    def _code(self) -> dict[str, Any]:
        """The runtime environment that has this very code."""
        if isinstance(self._cluster, Remote):
            if self._cluster.has_code:
                return {}
            code = package()
            RayJobs(self._address, self._token, self._cluster.name).send(code)
            return {"working_dir": address_of(code)}
        return {"env_vars": {"PYTHONPATH": str(_ROOT)}}

    def _configured(self) -> list[dict[str, Any]]:
        """The configurations that the applications were deployed with."""
        found = self._details()["applications"].values()
        return [one["deployed_app_config"] for one in found if one.get("deployed_app_config")]

    def _details(self) -> dict[str, Any]:
        try:
            found = call_json(self._address, _PATH, self._token, timeout_s=_TIMEOUT_S)
        except WebError as error:
            raise self._error("ask for endpoints", error) from None
        if not isinstance(found, dict) or not isinstance(found.get("applications"), dict):
            raise self._error(
                "ask for endpoints", WebError("it does not speak of Serve as Ray does")
            )
        return found

    def _put(
        self, applications: list[dict[str, Any]], http_options: dict[str, Any] | None = None
    ) -> None:
        wanted: dict[str, Any] = {"applications": applications}
        if http_options is not None and not self._details().get("controller_info"):
            wanted |= {"proxy_location": "HeadOnly", "http_options": http_options}
        body = json.dumps(wanted).encode()
        try:
            call(self._address, _PATH, self._token, method="PUT", body=body, timeout_s=_TIMEOUT_S)
        except WebError as error:
            if error.code == HTTPStatus.BAD_REQUEST:
                raise WsolError(f"Ray refuses the endpoints: {one_line(str(error))}") from None
            raise self._error("change endpoints", error) from None

    def _error(self, what: str, error: WebError) -> ClusterError:
        return ClusterError(f"cluster '{self._cluster.name}': cannot {what}: {error}")


def _deployment(name: str, found: dict[str, Any]) -> Deployment:
    parts = found.get("deployments") or {}
    arguments = (found.get("deployed_app_config") or {}).get("args") or {}
    messages = [found.get("message"), *(part.get("message") for part in parts.values())]
    lines = [line for text in messages if text for line in text.splitlines() if line.strip()]
    running = {
        part: sum(replica["state"] == "RUNNING" for replica in facts.get("replicas") or [])
        for part, facts in parts.items()
    }
    state = str(found["status"])
    return Deployment(
        name=name,
        state=state,
        route=found.get("route_prefix") or "",
        model=str(arguments.get("model", "")),
        replicas=running,
        message="" if state == "RUNNING" or not lines else one_line(lines[-1]),
    )
