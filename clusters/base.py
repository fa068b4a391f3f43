"""What every kind of cluster can do: be started, asked, described and ended.

`clusters/` starts Ray by its command line and talks to its web address; it imports neither Ray
nor the orchestrator.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, PrivateAttr

from clusters.tokens import read_token
from clusters.web import Answer, ask
from workloads.errors import ClusterError
from workloads.options import Options

JOB_SLOT = "wsol_job_slot"
"""The resource of a head of which each job takes one, so that the others wait."""

Say = Callable[[str], None]
"""Takes one line for people."""


class State(StrEnum):
    """Whether a cluster takes jobs."""

    UP = "up"
    STARTING = "starting"
    DOWN = "down"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What is known about a cluster now.

    Attributes:
        address: http://HOST:PORT of Ray's jobs API; None if nothing is there to be asked.
        nodes: that are alive; None if they could not be asked for.
        resources: that all nodes have together, as `{"CPU": 8.0}`; empty if not asked.
        reason: why the state is not `up`, and what to do; empty if it is.
    """

    name: str
    kind: str
    state: State
    address: str | None = None
    nodes: int | None = None
    resources: Mapping[str, float] | None = None
    reason: str = ""


class Cluster(Options, ABC):
    """One place where verbs run.

    A kind is a subclass, with a field `kind` whose one allowed value is its name.
    """

    same_machine: ClassVar[bool] = False
    """Its nodes are this machine, which sees every path of theirs."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="its name, as the file's")
    summary: str = Field(description="one line for `wsol list clusters`")
    kind: str
    shared: tuple[str, ...] = Field(
        default=(), description="folders that every node sees under the same path as this machine"
    )
    job_slots: int = Field(default=1, ge=1, description="jobs at the same time; others wait")
    _given: str | None = PrivateAttr(default=None)

    @property
    def given(self) -> str:
        """How the user names it on the command line."""
        return self._given or self.name

    def called(self, given: str) -> Self:
        """The same cluster, named by the path of its file."""
        copy = self.model_copy()
        copy._given = given
        return copy

    @abstractmethod
    def manifest(self) -> dict[str, str]:
        """What `up` applies: texts by file name; the same for the same settings."""

    @abstractmethod
    def up(self, say: Say) -> None:
        """Start it; nothing happens if it is up.

        Raises:
            ClusterError: it does not start.
            ConfigError: it is not ours to start.
        """

    @abstractmethod
    def down(self, say: Say) -> None:
        """End what `up` started, and nothing else; nothing happens if that is gone.

        Raises:
            ClusterError: it does not end.
            ConfigError: it is not ours to end.
        """

    @abstractmethod
    def status(self) -> ClusterStatus:
        """Whether it takes jobs; asks, but changes nothing."""

    @abstractmethod
    def submit_address(self) -> str:
        """http://HOST:PORT of Ray's jobs API, which answers this machine.

        Raises:
            ClusterError: it is not up; the message says how to start it.
        """

    def most(self) -> dict[str, float] | None:
        """Resources that it could grow to, as `{"CPU": 32, "GPU": 8}`; None: what it has now."""
        return None

    def token_file(self) -> Path | None:
        """The file of Ray's token for this cluster; None: as the environment says."""
        return None

    def token(self) -> str:
        """Ray's token, for `Authorization: Bearer` and `RAY_AUTH_TOKEN`.

        Raises:
            ClusterError: there is none, or it cannot be read.
        """
        return read_token(self.name, self.token_file(), os.environ)

    def asked(self, address: str, starting: bool = False) -> ClusterStatus:
        """What Ray at an address says.

        Args:
            starting: no answer may only mean that it is not there yet.
        """
        try:
            answer = ask(address, self.token())
        except ClusterError as error:  # no token
            answer = Answer(problem=str(error))
        if answer.nodes:
            found = (answer.nodes, answer.resources)
            return ClusterStatus(self.name, self.kind, State.UP, address, *found)
        state = State.STARTING if starting else State.UNREACHABLE
        reason = answer.problem or "no node has joined it"
        return ClusterStatus(self.name, self.kind, state, address, reason=reason)

    def is_down(self, why: str) -> ClusterStatus:
        """The status of a cluster of which nothing is there."""
        reason = f"{why}; start it: wsol cluster up {self.given}"
        return ClusterStatus(self.name, self.kind, State.DOWN, reason=reason)

    def is_unreachable(self, why: str) -> ClusterStatus:
        """The status of a cluster that is there but cannot be asked."""
        return ClusterStatus(self.name, self.kind, State.UNREACHABLE, reason=why)

    def not_up(self, why: str = "is not up") -> ClusterError:
        """The error of a cluster that was to take a job."""
        return ClusterError(f"cluster '{self.name}' {why}; start it: wsol cluster up {self.given}")


class Remote(Cluster, ABC):
    """A cluster of other machines than this one, as far as it knows."""

    python: str = Field(default="python", description="Python of its nodes, that has Ray")
    has_code: bool = Field(
        default=False, description="its nodes have this version of wsol; else it travels"
    )


def added_up(*groups: tuple[int, Mapping[str, float]]) -> dict[str, float]:
    """The resources of so many nodes of each group together."""
    total: dict[str, float] = {}
    for count, resources in groups:
        for kind, amount in resources.items():
            total[kind] = math.fsum((total.get(kind, 0.0), count * amount))
    return {kind: amount for kind, amount in total.items() if amount}
