"""The running Ray that this machine is a node of: what a job runs on."""

from __future__ import annotations

from typing import ClassVar, Literal, NoReturn

from clusters.base import Cluster, ClusterStatus, Say, State
from workloads.errors import ConfigError


class Joined(Cluster):
    """A Ray that is there; nothing is started and nothing ended."""

    same_machine: ClassVar[bool] = True
    kind: Literal["joined"]

    def manifest(self) -> dict[str, str]:
        """Nothing is applied."""
        return {}

    def up(self, say: Say) -> None:
        """Nothing is started."""
        say(f"cluster '{self.name}' {_NOT_OURS}")

    def down(self, say: Say) -> None:
        """Nothing is ended."""
        say(f"cluster '{self.name}' {_NOT_OURS}")

    def status(self) -> ClusterStatus:
        """It is asked under the name of the cluster itself."""
        return ClusterStatus(self.name, self.kind, State.DOWN, reason=_NOT_OURS)

    def submit_address(self) -> NoReturn:
        """A job is submitted to a cluster by its own name.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"cluster '{self.name}' {_NOT_OURS}")


_NOT_OURS = "is whatever Ray a job runs on; name the cluster itself (wsol list clusters)"
