"""Machines of one's own, reached over SSH.

Outside of a container the launcher's way to end a cluster, `ray stop`, would end every Ray of
the user there. So the head's number is kept on it, and that one process is ended; the others
end when their head is gone.
"""

from __future__ import annotations

from pathlib import Path
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

    def head_commands(self) -> list[str]:
        """The second autoscaler counts the head among the workers, and starts one too few."""
        words = self.head_words()
        first = {"RAY_enable_autoscaler_v2": "0"}
        if self.image:
            return ["ray stop", self.started(*words, **first)]
        start = self.started("setsid", *words, "--block", **first)
        kept = f"> {self._kept('log')} 2>&1 < /dev/null & echo $! > {self._kept('pid')}"
        return [self._end_head(), f"{start} {kept}"]

    def worker_commands(self) -> list[str]:
        """A worker, as the launcher has it; but no `ray stop` outside of a container."""
        stop, start = super().worker_commands()
        return [stop, start] if self.image else [start]

    def stop(self, folder: Path) -> None:
        """End the head that was started, or its containers; machines stay."""
        if self.image:
            super().stop(folder)
        else:
            self.launcher(folder, "exec", str(folder / "cluster.yaml"), self._end_head())

    def _kept(self, ending: str) -> str:
        return f"$HOME/.ray/wsol-{self.name}.{ending}"

    def _end_head(self) -> str:
        """By its number, if that is still a head's; it says goodbye to its nodes for up to 30 s."""
        return (
            f"pid=$(cat {self._kept('pid')} 2>/dev/null || true); "
            'if [ -n "$pid" ] && ps -ww -o args= -p "$pid" | grep -q "ray start --head"; then '
            'kill -TERM "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.5; done; fi; '
            f"rm -f {self._kept('pid')}"
        )
