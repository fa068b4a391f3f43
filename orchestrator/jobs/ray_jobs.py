"""Ray's jobs API of one cluster; its errors in one line, and an answer within seconds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from clusters.web import WebError, call, call_json, nodes
from orchestrator.jobs.package import Package
from workloads.errors import ClusterError, one_line

_ANSWER_S = 15.0  # for a question: a head that is busy takes seconds
_WORK_S = 120.0  # for something to be done: an agent of a new head takes a while to be there


class RayState(StrEnum):
    """Status of a job, as Ray names it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class RayJob:
    """Ray's view of one submission."""

    state: RayState
    message: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """Resources of a cluster, by Ray's names of them."""

    total: Mapping[str, float]
    used: Mapping[str, float]

    def free(self, resource: str) -> float:
        """The share that nobody uses."""
        return self.total.get(resource, 0.0) - self.used.get(resource, 0.0)


class RayJobs:
    """Jobs of the cluster at an address, over its web API, which needs no Ray on this side.

    Args:
        address: http://HOST:PORT of its dashboard.
        token: of its authentication; None if it has none.
        cluster: its name, for messages.
    """

    def __init__(self, address: str, token: str | None, cluster: str) -> None:
        self._address, self._token, self._cluster = address, token, cluster

    def submit(
        self,
        submission: str,
        entrypoint: str,
        resources: Mapping[str, float],
        metadata: Mapping[str, str],
        code: Package | None,
    ) -> bool:
        """Hand a job over; whether the code had to be sent.

        Args:
            submission: an id that was never used.
            resources: what it takes to start it.
            code: what becomes its working folder; it is sent if the cluster has it not.
        """
        sent = code is not None and self.send(code)
        request = {
            "submission_id": submission,
            "entrypoint": entrypoint,
            "entrypoint_resources": dict(resources),
            "metadata": dict(metadata),
            "runtime_env": {"working_dir": address_of(code)} if code else {},
        }
        body = json.dumps(request).encode()
        self._call("submit", "/api/jobs/", method="POST", body=body, timeout_s=_WORK_S)
        return sent

    def known(self) -> dict[str, RayJob]:
        """All submissions that this cluster remembers."""
        found = self._json("list jobs", "/api/jobs/")
        try:
            return {
                job["submission_id"]: RayJob(
                    RayState(job["status"]), one_line(job["message"] or "")
                )
                for job in found
                if job["submission_id"]
            }
        except (KeyError, TypeError, ValueError):
            problem = f"{self._address} does not speak of jobs as Ray does"
            raise self._error("list jobs", WebError(problem)) from None

    def stop(self, submission: str) -> None:
        """Tell a running one to end."""
        self._call("stop", f"/api/jobs/{submission}/stop", method="POST", timeout_s=_WORK_S)

    def forget(self, submission: str) -> None:
        """Remove what the cluster keeps of one that is over."""
        self._call("delete", f"/api/jobs/{submission}", method="DELETE", timeout_s=_WORK_S)

    def capacity(self) -> Capacity:
        """Resources of the cluster at this moment, and those in use.

        A head that is seconds old knows its nodes, and not yet what is in use.
        """
        with self._plain_errors("ask for its resources"):
            total = nodes(self._address, self._token, _ANSWER_S).resources or {}
        answer = self._json("ask for its resources", "/api/cluster_status")
        status = (answer.get("data") or {}).get("clusterStatus") or {}
        usage = (status.get("loadMetricsReport") or {}).get("usage") or {}
        named = {_ray_name(name): pair for name, pair in usage.items()}
        return Capacity(total, {name: float(pair[0]) for name, pair in named.items()})

    def send(self, code: Package) -> bool:
        """Send code that the cluster has not; whether it had to be.

        The question makes the head keep what it has for a while, so that nobody takes it away
        before the job starts.
        """
        path = f"/api/packages/gcs/{_archive(code)}"
        try:
            call(self._address, path, self._token, timeout_s=_ANSWER_S)
        except WebError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise self._error("ask for its code", error) from None
        else:
            return False
        self._call("send code", path, method="PUT", body=code.archive(), timeout_s=_WORK_S)
        return True

    def _json(self, what: str, path: str) -> Any:
        with self._plain_errors(what):
            return call_json(self._address, path, self._token, timeout_s=_ANSWER_S)

    def _call(self, what: str, path: str, **how: Any) -> None:
        with self._plain_errors(what):
            call(self._address, path, self._token, **how)

    @contextmanager
    def _plain_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except WebError as error:
            raise self._error(what, error) from None

    def _error(self, what: str, error: WebError) -> ClusterError:
        return ClusterError(f"cluster '{self._cluster}': cannot {what}: {error}")


def address_of(code: Package) -> str:
    """The address of code on a cluster that it was sent to."""
    return f"gcs://{_archive(code)}"


def _archive(code: Package) -> str:
    """The name of code on a cluster, as Ray names what travels."""
    return f"_ray_pkg_{code.digest[:32]}.zip"


def _ray_name(name: str) -> str:
    """The answer has names of resources in camel case: wsolJobSlot of wsol_job_slot."""
    if name.isupper() or ":" in name:
        return name
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", name)
