"""Hosts on this machine: network namespaces with addresses of their own, on one bridge.

Processes and file systems are shared, and host names do not differ: every daemon is told its
address. Root is needed. What was made is removed at the end, and it is named by the process that
made it, so that several can do so side by side.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Host:
    """One namespace.

    Attributes:
        name: of the namespace.
        address: in the network of all hosts; this machine itself has `Hosts.gateway`.
    """

    name: str
    address: str
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def words(self, words: Sequence[str]) -> list[str]:
        """A command as it is run in the host.

        `ip netns exec` would mount a /sys without the groups that SLURM looks for.
        """
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]

    def start(
        self, words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command in the host, in a session of its own; it is killed at the end."""
        with log.open("ab") as stream:
            process = subprocess.Popen(
                self.words(words), env=environment, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=stream, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, words: Sequence[str], **options: object) -> str:
        """What a command in the host says."""
        done = subprocess.run(
            self.words(words), capture_output=True, text=True, check=False, **options
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def cut(self) -> None:
        """Pull the cable."""
        _ip("link", "set", f"{self.name}b", "down")

    def mend(self) -> None:
        """Put the cable back."""
        _ip("link", "set", f"{self.name}b", "up")

    def processes(self) -> list[int]:
        """All that runs in the host, whoever started it."""
        done = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in done.stdout.split()]

    def end(self) -> None:
        """Kill all that runs in the host; nothing else of this machine is in its namespace."""
        while found := self.processes():
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        for process in self._started:
            process.wait()
        self._started.clear()


@dataclass(frozen=True)
class Hosts:
    """Hosts that reach each other, and this machine."""

    gateway: str
    hosts: list[Host]


@contextmanager
def hosts(count: int) -> Iterator[Hosts]:
    """So many hosts, with addresses from .11 on."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    number = os.getpid()
    net, mark = f"10.213.{number % 250}", f"w{number % 10_000_000}"
    bridge, found = f"{mark}br", list[Host]()
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for index in range(count):
            host = Host(f"{mark}n{index}", f"{net}.{11 + index}")
            found.append(host)
            _join(host, bridge, f"{net}.1")
        yield Hosts(f"{net}.1", found)
    finally:
        for host in found:
            host.end()
            _ip("netns", "del", host.name, check=False)
            _ip("link", "del", f"{host.name}b", check=False)
        _ip("link", "del", bridge, check=False)


def _join(host: Host, bridge: str, gateway: str) -> None:
    near, far = f"{host.name}b", f"{host.name}a"
    _ip("netns", "add", host.name)
    _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", host.name)
    _ip("link", "set", near, "master", bridge, "up")
    inside = ("-n", host.name)
    _ip(*inside, "addr", "add", f"{host.address}/24", "dev", far)
    _ip(*inside, "link", "set", far, "up")
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "route", "add", "default", "via", gateway)


def _ip(*words: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
