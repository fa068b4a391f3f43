"""A forwarded port: the web address of a cluster behind SSH or behind Kubernetes, on loopback.

The dashboard of such a cluster listens where only its head sees it. The process that forwards
outlives the command that started it and is found again by the next one.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from clusters.processes import Leader
from clusters.state import read_state, write_state
from workloads.errors import ClusterError, one_line

_OPEN_S = 60.0
_END_S = 5.0
_FILE, _LOG = "tunnel.json", "tunnel.log"


def free_port(wanted: int = 0) -> int:
    """A port of loopback that nobody uses: the wanted one if it is free."""
    # Without SO_REUSEADDR: a port that was closed a moment ago is not free for Ray either.
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", wanted))
        return int(probe.getsockname()[1])
    return free_port()


def tunnel_address(folder: Path) -> str | None:
    """Where the tunnel of a cluster is open; None if it is not."""
    state = read_state(folder / _FILE)
    leader = Leader.of(state)
    return str(state["address"]) if state and leader and leader.runs() else None


def open_tunnel(folder: Path, cluster: str, words: Callable[[int], Sequence[str]]) -> str:
    """The address of the tunnel, which is opened if it is not.

    Args:
        folder: of the cluster's state.
        words: the command that forwards a port of loopback, given that port, for as long as
            it runs.

    Raises:
        ClusterError: the command ends, or nothing listens within a minute.
    """
    there = tunnel_address(folder)
    if there is not None:
        return there
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    leader = Leader.start(words(port), os.environ, folder / _LOG)
    write_state(folder / _FILE, {**leader.state(), "address": address})
    until = time.monotonic() + _OPEN_S
    while not _listens(port):
        if not leader.runs() or time.monotonic() > until:
            close_tunnel(folder)
            said = last_line(folder / _LOG)
            raise ClusterError(f"cluster '{cluster}': no way to its head: {said}")
        time.sleep(0.1)
    return address


def close_tunnel(folder: Path) -> None:
    """End the process that forwards, if it is there."""
    leader = Leader.of(read_state(folder / _FILE))
    if leader is not None:
        leader.end(_END_S)
    (folder / _FILE).unlink(missing_ok=True)


def last_line(log: Path) -> str:
    """The last thing that a command said, and where the rest is."""
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            return f"{one_line(lines[-1])} (see {log})"
    return f"it said nothing (see {log})"


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False
