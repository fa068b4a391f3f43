"""No cluster: everything in the command's own process."""

from __future__ import annotations

from typing import ClassVar, Literal, NoReturn

from clusters.base import Cluster, ClusterStatus, Say, State
from workloads.errors import ConfigError


class Inline(Cluster):
    """No Ray at all; for trying out, debugging and tests."""

    same_machine: ClassVar[bool] = True
    kind: Literal["inline"]

    def manifest(self) -> dict[str, str]:
        """Nothing is applied."""
        return {}

    def up(self, say: Say) -> None:
        """Nothing is started."""
        say(f"cluster '{self.name}' is the command's own process; there is nothing to start")

    def down(self, say: Say) -> None:
        """Nothing is ended."""
        say(f"cluster '{self.name}' is the command's own process; there is nothing to end")

    def status(self) -> ClusterStatus:
        """It has no queue of jobs."""
        return ClusterStatus(self.name, self.kind, State.DOWN, reason=_NO_JOBS)

    def submit_address(self) -> NoReturn:
        """There is none.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"cluster '{self.name}': {_NO_JOBS}")


_NO_JOBS = "no Ray, so it takes no jobs; run the verb itself, or submit to another, such as local"
