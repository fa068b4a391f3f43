"""Pods of a Kubernetes that has the KubeRay operator."""

from __future__ import annotations

import base64
import binascii
import json
import shlex
from importlib.metadata import version
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from clusters.base import JOB_SLOT, ClusterStatus, Remote, Say, State, added_up
from clusters.command import find, said
from clusters.ray_command import NODE_VARIABLES
from clusters.state import state_folder
from clusters.tunnel import close_tunnel, open_tunnel
from workloads.errors import ClusterError, ConfigError
from workloads.options import Options

_DASHBOARD_PORT, _SERVE_PORT = 8265, 8000
_PORTS = {"gcs": 6379, "dashboard": _DASHBOARD_PORT, "client": 10001, "serve": _SERVE_PORT}
_TOKEN_KEY = "auth_token"  # noqa: S105 - the key of KubeRay's secret, not a secret
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - in the pod; who is no other pod asks through a service
_KEPT_S = 3600  # a finished job's pods, to look at their logs
_RESOURCES = {"cluster": "RayCluster", "job": "RayJob", "service": "RayService"}


class Pods(Options):
    """Pods of one kind."""

    cpus: int = Field(ge=1, description="CPUs of each")
    gpus: int = Field(default=0, ge=0, description="GPUs of each")
    memory_gb: int = Field(ge=2, description="memory of each, GiB; a third is Ray's object store")
    node_labels: dict[str, str] = Field(
        default_factory=dict, description="labels of the nodes that they may run on"
    )

    def resources(self) -> dict[str, int]:
        """As Ray counts them."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})


class WorkerPods(Pods):
    """Pods that do the work."""

    least: int = Field(default=0, ge=0, description="pods that are always there")
    most: int = Field(ge=1, description="pods at the same time, at most")


class Service(Options):
    """A model behind an endpoint."""

    model: str = Field(description="NAME@ALIAS, NAME/VERSION, or a folder on a volume")
    overrides: tuple[str, ...] = Field(
        default=(),
        description="KEY.PATH=VALUE of the settings: serve.keys_file=... and tracking.uri=http://...",
    )
    follow: bool = Field(default=False, description="roll out what the alias comes to mean")


class Kubernetes(Remote):
    """A RayCluster that takes jobs; or a RayJob, or a RayService, with a cluster of its own."""

    kind: Literal["kubernetes"]
    namespace: str = Field(default="default", description="of everything that is made")
    context: str | None = Field(default=None, description="of kubectl; null: the current one")
    image: str = Field(description="container image with wsol, see docs/clusters.md")
    head: Pods = Field(description="the pod that takes jobs and drives them")
    workers: dict[str, WorkerPods] = Field(description="kinds of the pods that do the work")
    volumes: dict[str, str] = Field(
        default_factory=dict, description="PersistentVolumeClaims by the path where pods see them"
    )
    secrets: tuple[str, ...] = Field(
        default=(), description="Secrets whose keys become variables: of S3, of the tracker"
    )
    queue: str | None = Field(
        default=None, description="LocalQueue of Kueue that lets it in; null: no Kueue"
    )
    runs: Literal["cluster", "job", "service"] = Field(
        default="cluster",
        description="cluster: takes jobs; job, service: one with a cluster of its own",
    )
    job: tuple[str, ...] = Field(default=(), description="words of `wsol`, for runs: job")
    retries: int = Field(default=0, ge=0, description="of that job, each on a new cluster")
    service: Service | None = Field(default=None, description="for runs: service")

    @model_validator(mode="after")
    def _says_what_it_runs(self) -> Self:
        """A job has words and a service a model."""
        if self.runs == "job" and not self.job:
            raise ValueError("runs: job needs job: [VERB, ...], the words after `wsol`")
        if self.runs == "service" and self.service is None:
            raise ValueError("runs: service needs service: {model: NAME@ALIAS}")
        return self

    def manifest(self) -> dict[str, str]:
        """One resource of KubeRay."""
        resource = {
            "apiVersion": "ray.io/v1",
            "kind": _RESOURCES[self.runs],
            "metadata": self._metadata(),
            "spec": self._spec(),
        }
        file = f"{_RESOURCES[self.runs].lower()}.yaml"
        return {file: yaml.safe_dump(resource, sort_keys=False, width=1000)}

    def up(self, say: Say) -> None:
        """By `kubectl create`: what is there already is left as it is."""
        if self._found() is not None:
            say(f"cluster '{self.name}' is there already: {self.status().state}")
            return
        (text,) = self.manifest().values()
        self._kubectl("create", "--filename=-", given=text)
        say(f"{_RESOURCES[self.runs]} '{self.name}' is made; its pods come when there is room:")
        say(f"  wsol cluster status {self.given}")

    def down(self, say: Say) -> None:
        """By `kubectl delete`, of what has this kind and name alone."""
        close_tunnel(state_folder(self.name))
        done = self._kubectl("delete", self._resource(), self.name, "--ignore-not-found")
        say(f"cluster '{self.name}' is down" + ("" if done.strip() else " already"))

    def status(self) -> ClusterStatus:
        """By what KubeRay says, then by the dashboard."""
        try:
            found = self._found()
            if found is None:
                return self.is_down(f"no {_RESOURCES[self.runs]} of that name")
            return self._status_of(found)
        except ClusterError as error:
            return self.is_unreachable(str(error))

    def submit_address(self) -> str:
        """The near end of a tunnel to the head's service."""
        if self.runs != "cluster":
            raise ConfigError(f"cluster '{self.name}' has runs: {self.runs}, it takes no jobs")
        found = self._found()
        if found is None:
            raise self.not_up()
        if _state(found) != "ready":
            raise self.not_up(f"has no pods yet ({self._status_of(found).reason})")
        words = [*self._words(), "port-forward", f"service/{self.name}-head-svc"]
        folder = state_folder(self.name)
        return open_tunnel(folder, self.name, lambda port: [*words, f"{port}:{_DASHBOARD_PORT}"])

    def most(self) -> dict[str, float]:
        """The head and all workers."""
        groups = ((worker.most, worker.resources()) for worker in self.workers.values())
        return added_up((1, self.head.resources()), *groups)

    def token(self) -> str:
        """From the secret that KubeRay makes for the cluster."""
        text = self._kubectl("get", "secret", self.name, "--output=json")
        try:
            return base64.b64decode(json.loads(text)["data"][_TOKEN_KEY]).decode("ascii").strip()
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise ClusterError(
                f"cluster '{self.name}': secret '{self.name}' holds no {_TOKEN_KEY}; KubeRay 1.5.1 "
                "or later makes it"
            ) from None

    def _status_of(self, found: dict[str, Any]) -> ClusterStatus:
        state = _state(found)
        if state == "ready" and self.runs == "cluster":
            return self.asked(self.submit_address())
        up = (self.runs, state) in {("job", "Running"), ("service", "Running")}
        queued = self.queue and found.get("spec", {}).get("suspend")
        waits = f"waits in queue {self.queue}" if queued else f"KubeRay says: {state or 'nothing'}"
        return ClusterStatus(
            self.name, self.kind, State.UP if up else State.STARTING, reason="" if up else waits
        )

    def _found(self) -> dict[str, Any] | None:
        text = self._kubectl(
            "get", self._resource(), self.name, "--ignore-not-found", "--output=json"
        )
        try:
            found = json.loads(text) if text.strip() else None
        except ValueError:
            raise ClusterError(f"cluster '{self.name}': kubectl answers with no JSON") from None
        return found if isinstance(found, dict) else None

    def _resource(self) -> str:
        return f"{_RESOURCES[self.runs].lower()}.ray.io"

    def _words(self) -> list[str]:
        context = [f"--context={self.context}"] if self.context else []
        kubectl = find("kubectl", self.name, "Kubernetes' command line")
        return [kubectl, *context, f"--namespace={self.namespace}"]

    def _kubectl(self, *words: str, given: str | None = None) -> str:
        return said([*self._words(), *words], self.name, given=given)

    def _metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {"name": self.name, "namespace": self.namespace}
        if self.queue:
            found["labels"] = {"kueue.x-k8s.io/queue-name": self.queue}
        return found

    def _spec(self) -> dict[str, Any]:
        """Kueue lets in what is made suspended."""
        waits = {"suspend": True} if self.queue else {}
        if self.runs == "job":
            return {**self._job(), **waits, "rayClusterSpec": self._cluster()}
        if self.runs == "service":
            config = self._serve_config()
            return {"serveConfigV2": config, **waits, "rayClusterConfig": self._cluster()}
        return {**waits, **self._cluster()}

    def _job(self) -> dict[str, Any]:
        return {
            "entrypoint": shlex.join(["wsol", *self.job]),
            "entrypointResources": json.dumps({JOB_SLOT: 1}),
            "runtimeEnvYAML": yaml.safe_dump({"env_vars": {"WSOL_JOB": self.name}}),
            "submissionMode": "K8sJobMode",
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": _KEPT_S,
            "backoffLimit": self.retries,
        }

    def _serve_config(self) -> str:
        """As Serve's own configuration file; the arguments are those of the named function."""
        served = self.service
        assert served is not None, "checked when it was read"
        application = {
            "name": "wsol",
            "route_prefix": "/",
            "import_path": "orchestrator.serve.ray_serve:build",
            "args": {
                "model": served.model, "follow": served.follow,
                "overrides": list(served.overrides), "host": _EVERYWHERE,
            },
        }  # fmt: skip
        # Pods are reached through the service of the cluster, by whoever is in it.
        http = {"host": _EVERYWHERE, "port": _SERVE_PORT}
        values = {"proxy_location": "EveryNode", "http_options": http}
        return yaml.safe_dump({**values, "applications": [application]}, sort_keys=False)

    def _cluster(self) -> dict[str, Any]:
        """Kueue counts what it lets in, so nothing grows behind its back."""
        grows = self.queue is None and any(w.least < w.most for w in self.workers.values())
        return {
            "rayVersion": version("ray"),
            "enableInTreeAutoscaling": grows,
            "authOptions": {"mode": "token"},
            "headGroupSpec": {
                "rayStartParams": {
                    "dashboard-host": "0.0.0.0",  # noqa: S104 - inside the pod, with a token
                    "resources": json.dumps(json.dumps({JOB_SLOT: self.job_slots})),
                },
                "template": self._pod("ray-head", self.head, _PORTS),
            },
            "workerGroupSpecs": [
                {
                    "groupName": name,
                    "replicas": worker.least if grows else worker.most,
                    "minReplicas": worker.least if grows else worker.most,
                    "maxReplicas": worker.most,
                    "rayStartParams": {},
                    "template": self._pod("ray-worker", worker, {}),
                }
                for name, worker in self.workers.items()
            ],
        }

    def _pod(self, name: str, pods: Pods, ports: dict[str, int]) -> dict[str, Any]:
        amounts = {"cpu": str(pods.cpus), "memory": f"{pods.memory_gb}Gi"}
        if pods.gpus:
            amounts["nvidia.com/gpu"] = str(pods.gpus)
        # The operator sets the mode of authentication and the token.
        variables = {k: v for k, v in NODE_VARIABLES.items() if k != "RAY_AUTH_MODE"}
        container: dict[str, Any] = {
            "name": name,
            "image": self.image,
            "env": [{"name": key, "value": value} for key, value in variables.items()],
            "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        }
        if self.secrets:
            container["envFrom"] = [{"secretRef": {"name": secret}} for secret in self.secrets]
        if ports:
            container["ports"] = [{"name": n, "containerPort": p} for n, p in ports.items()]
        claims = {f"volume-{i}": item for i, item in enumerate(self.volumes.items())}
        spec: dict[str, Any] = {"containers": [container]}
        if claims:
            container["volumeMounts"] = [
                {"name": key, "mountPath": path} for key, (path, _) in claims.items()
            ]
            spec["volumes"] = [
                {"name": key, "persistentVolumeClaim": {"claimName": claim}}
                for key, (_, claim) in claims.items()
            ]
        if pods.node_labels:
            spec["nodeSelector"] = dict(pods.node_labels)
        return {"spec": spec}


def _state(found: dict[str, Any]) -> str:
    """What the operator wrote; empty before it has looked."""
    status = found.get("status") or {}
    keys = {"RayCluster": "state", "RayJob": "jobDeploymentStatus", "RayService": "serviceStatus"}
    return str(status.get(keys.get(str(found.get("kind")), "state")) or "")
