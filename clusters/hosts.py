"""Machines of one's own, reached over SSH."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from clusters.launcher import Launched


class Hosts(Launched):
    """Machines that are there already; Ray's launcher reaches them over SSH."""

    kind: Literal["hosts"]
    head: str = Field(description="host name or address of the machine that takes jobs")
    workers: tuple[str, ...] = Field(
        default=(), description="host names or addresses of the others, as the head reaches them"
    )

    def provider(self) -> dict[str, Any]:
        """The launcher's provider for machines that it does not make."""
        return {"type": "local", "head_ip": self.head, "worker_ips": list(self.workers)}

    def node_types(self) -> dict[str, Any]:
        """The launcher knows one kind, and Ray counts what it finds there; all are always used."""
        return {"min_workers": len(self.workers), "max_workers": len(self.workers)}

    def before_start(self) -> list[str]:
        """Outside of a container `ray stop` would end every Ray of the user there."""
        return super().before_start() if self.image else []
