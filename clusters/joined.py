"""The running Ray that this machine is a node of: what a job runs on."""

from __future__ import annotations

from typing import Literal

from clusters.base import Cluster, ClusterStatus, Say, State
from workloads.errors import ConfigError


class Joined(Cluster):
    """A Ray that is there; nothing is started and nothing ended."""

    kind: Literal["joined"]
    takes_jobs = False

    def manifest(self) -> dict[str, str]:
        return {}

    def up(self, say: Say) -> None:
        raise ConfigError(_NOT_OURS)

    def down(self, say: Say) -> None:
        raise ConfigError(_NOT_OURS)

    def status(self) -> ClusterStatus:
        return ClusterStatus(self.name, self.kind, State.UNREACHABLE, reason=_NOT_OURS)

    def submit_address(self) -> str:
        raise ConfigError(_NOT_OURS)


_NOT_OURS = "cluster 'joined' is the Ray that a job runs on; name the cluster itself instead"
