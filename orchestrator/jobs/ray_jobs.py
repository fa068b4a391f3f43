"""Ray's jobs API of one cluster; its errors in one line, and an answer within seconds."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clusters.web import ask
from workloads.errors import ClusterError, one_line

_CONNECT_S = 5.0
_REFUSED = re.compile(r"\b(401|403)\b|[Uu]nauthorized|[Ff]orbidden|[Aa]uthenticat")


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
    """Jobs of the cluster at an address.

    Args:
        address: http://HOST:PORT of its dashboard.
        token: of its authentication; None if it has none.
        cluster: its name, for messages.

    Raises:
        ClusterError: nobody answers there, or the token is refused.
    """

    def __init__(self, address: str, token: str | None, cluster: str) -> None:
        self._address, self._token, self._cluster = address, token, cluster
        self._check_reachable()
        from ray.job_submission import JobSubmissionClient

        logging.getLogger("ray").setLevel(logging.ERROR)
        headers = {"Authorization": f"Bearer {token}"} if token else None
        with self._plain_errors("connect"):
            self._client = JobSubmissionClient(address, headers=headers)

    def submit(
        self,
        submission: str,
        entrypoint: str,
        resources: Mapping[str, float],
        metadata: Mapping[str, str],
        code: Path | None,
    ) -> None:
        """Hand a job over.

        Args:
            submission: an id that was never used.
            resources: what it takes to start it.
            code: a folder that becomes its working folder; it travels if the cluster has it not.
        """
        runtime: dict[str, Any] = {"working_dir": str(code)} if code else {}
        with self._plain_errors("submit"):
            self._client.submit_job(
                submission_id=submission,
                entrypoint=entrypoint,
                entrypoint_resources=dict(resources),
                metadata=dict(metadata),
                runtime_env=runtime,
            )

    def known(self) -> dict[str, RayJob]:
        """All submissions that this cluster remembers."""
        with self._plain_errors("list jobs"):
            found = self._client.list_jobs()
        return {
            job.submission_id: RayJob(RayState(str(job.status.value)), one_line(job.message or ""))
            for job in found
            if job.submission_id
        }

    def stop(self, submission: str) -> None:
        """Tell a running one to end."""
        with self._plain_errors("stop"):
            self._client.stop_job(submission)

    def forget(self, submission: str) -> None:
        """Remove what the cluster keeps of one that is over."""
        with self._plain_errors("delete"):
            self._client.delete_job(submission)

    def capacity(self) -> Capacity:
        """Resources of the cluster at this moment, and those in use.

        A head that is seconds old knows its nodes, and not yet what is in use.
        """
        total = ask(self._address, self._token or "").resources or {}
        with self._plain_errors("ask for its resources"):
            answer = self._client._do_request("GET", "/api/cluster_status")
            status = (answer.json().get("data") or {}).get("clusterStatus") or {}
        usage = (status.get("loadMetricsReport") or {}).get("usage") or {}
        named = {_ray_name(name): pair for name, pair in usage.items()}
        return Capacity(total, {name: float(pair[0]) for name, pair in named.items()})

    def _check_reachable(self) -> None:
        parts = urlsplit(self._address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), _CONNECT_S).close()
        except OSError as error:
            raise ClusterError(
                f"cluster '{self._cluster}' does not answer at {self._address} "
                f"({one_line(error.strerror or str(error)).lower()}); see `wsol cluster status`"
            ) from None

    @contextmanager
    def _plain_errors(self, what: str) -> Iterator[None]:
        import requests
        from ray.exceptions import RayError

        try:
            yield
        except (RuntimeError, RayError, ConnectionError, requests.RequestException) as error:
            text = one_line(str(error))
            if _REFUSED.search(text):
                raise ClusterError(
                    f"cluster '{self._cluster}' at {self._address} refuses the token, or wants "
                    "one; set RAY_AUTH_TOKEN_PATH to the file of its token"
                ) from None
            raise ClusterError(
                f"cluster '{self._cluster}' at {self._address}: cannot {what}: {text[:300]}"
            ) from None


def _ray_name(name: str) -> str:
    """The answer has names of resources in camel case: wsolJobSlot of wsol_job_slot."""
    if name.isupper() or ":" in name:
        return name
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", name)
