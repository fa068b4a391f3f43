"""Processes that a cluster has on this machine: started apart, found again, ended.

A process is known by its number and the moment it started: numbers are used again. It leads a
session of its own, so all that it started can be found even after it has died.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_CLOCK_S = 1.0  # a clock that is set changes when a process seems to have started


@dataclass(frozen=True, slots=True)
class Leader:
    """A process that leads a session of its own.

    Attributes:
        started: seconds since the epoch.
        boot: names the run of this machine in which the number counts; empty if unknown.
    """

    pid: int
    started: float
    boot: str

    @classmethod
    def start(cls, words: Sequence[str], environment: Mapping[str, str], log: Path) -> Leader:
        """Start a command that outlives this process; what it says goes to a file.

        Raises:
            OSError: there is no such command, or the file cannot be written.
        """
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            process = subprocess.Popen(
                list(words),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        process.returncode = 0  # nobody waits for it
        return cls(process.pid, psutil.Process(process.pid).create_time(), _boot())

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> Leader | None:
        """Inverse of `state`; None for anything else."""
        try:
            found = dict((state or {})["leader"])
            return cls(int(found["pid"]), float(found["started"]), str(found["boot"]))
        except (KeyError, TypeError, ValueError):
            return None

    def state(self) -> dict[str, Any]:
        """What finds it again, as JSON."""
        return {"leader": asdict(self)}

    def runs(self) -> bool:
        """Whether this very process is there and not only its remains."""
        if self.boot != _boot():
            return False
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_S
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def members(self) -> list[psutil.Process]:
        """All that live in its session, and what those started.

        The kernel gives the number to nobody else while the session has a member; members that
        are older than the leader are of another session with the same number.
        """
        if self.boot != _boot():
            return []
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError, PermissionError):
                ours = os.getsid(process.pid) == self.pid
                if ours and process.create_time() >= self.started - _CLOCK_S:
                    found[process.pid] = process
                    found |= {p.pid: p for p in process.children(recursive=True)}
        return [p for p in found.values() if _lives(p)]

    def titles(self) -> list[str]:
        """Command lines of all its members."""
        found = []
        for process in self.members():
            with suppress(psutil.Error):
                found.append(" ".join(process.cmdline()))
        return found

    def end(self, patience_s: float) -> bool:
        """Ask the leader to end, then all that is left of it, then kill; whether all are gone."""
        members = self.members()
        if self.runs():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            _wait(members, patience_s)
        for send in (psutil.Process.terminate, psutil.Process.kill):
            left = {p.pid: p for p in [*filter(_lives, members), *self.members()]}
            if not left:
                break
            for process in left.values():
                with suppress(psutil.Error):
                    send(process)
            _wait(list(left.values()), 5.0)
        return not any(map(_lives, members)) and not self.members()


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _wait(processes: list[psutil.Process], seconds: float) -> None:
    until = time.monotonic() + seconds
    while any(map(_lives, processes)) and time.monotonic() < until:
        time.sleep(0.05)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
