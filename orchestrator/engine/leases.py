"""A lease on a folder: one process at a time works there, and a dead one blocks nobody.

The lease is a file that its holder renews. A holder on this machine is asked for by its process;
one elsewhere counts as gone when it has not renewed for `STALE_S`. Nothing but an exclusive
creation and a compare-and-swap of one small file is needed, which object stores have, too.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from workloads.errors import Conflict
from workloads.storage.storage import storage_of

LEASE = ".lease.json"  # not part of an artifact's content
BEAT_S = 10.0
# Set in a submitted job: its name, and which try it is, from 1.
JOB_VARIABLE, ATTEMPT_VARIABLE = "WSOL_JOB", "WSOL_JOB_ATTEMPT"
# Clocks of machines that share a folder must agree to well within this.
STALE_S = 60.0
_SIGNAL = signal.SIGUSR2


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that works in a folder.

    Attributes:
        machine: names the process table in which `pid` counts.
        started: when the process began, seconds since the epoch; a pid is used again.
        token: names this very lease.
        beat: when it was last renewed, seconds since the epoch.
        job, attempt: the submitted job that it works for, and which try of it; empty and 0
            without one.
    """

    verb: str
    host: str
    machine: str
    pid: int
    started: float
    since: str
    token: str
    beat: float
    job: str = ""
    attempt: int = 0

    @classmethod
    def of_this_process(cls, verb: str) -> Holder:
        """A new lease for a verb."""
        return cls(
            verb=verb,
            host=socket.gethostname(),
            machine=_machine(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            token=uuid.uuid4().hex,
            beat=time.time(),
            job=os.environ.get(JOB_VARIABLE, ""),
            attempt=int(os.environ.get(ATTEMPT_VARIABLE, "0")),
        )

    @classmethod
    def from_text(cls, text: str) -> Holder | None:
        """Inverse of `text`; None for anything else, which nobody can hold."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    @property
    def text(self) -> str:
        """The content of the file."""
        return json.dumps(asdict(self), sort_keys=True)

    def is_gone(self) -> bool:
        """Whether the holder can be taken for dead."""
        if self.machine == _machine():
            return not _runs(self.pid, self.started)
        return time.time() - self.beat > STALE_S

    def is_earlier_try_of(self, other: Holder) -> bool:
        """Whether it was left by an earlier try of the job that the other one works for.

        Whoever tries a job again has seen the end of the try before. If that one is still
        running somewhere, it stops when it finds that its lease is gone.
        """
        later = other.attempt > self.attempt or other.attempt == 0
        return bool(self.job) and self.job == other.job and later


@contextmanager
def lease(folder: Path, verb: str) -> Iterator[None]:
    """Work in a folder alone.

    Args:
        verb: as the user called it, for those who are refused meanwhile.

    Raises:
        Conflict: another process works there; or it took over, because this one was silent for
            too long (a suspended machine, say).
    """
    file = folder / LEASE
    own = Holder.of_this_process(verb)
    _acquire(file, own)
    heart = _Heart(file, own)
    heart.start()
    try:
        with _interruptible():
            yield
    except (_Lost, KeyboardInterrupt):
        if heart.lost:
            raise Conflict(
                f"{folder}: another process took over while this one was silent; let it finish"
            ) from None
        raise
    finally:
        heart.stop()


class _Lost(BaseException):
    """Raised in the main thread when a lease was lost; no `except Exception` swallows it."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """While a lease is held, its loss stops the main thread, where all verbs work.

    It has a signal of its own: SIGINT is ignored in what a script starts with `&`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(_SIGNAL, _raise_lost)
    try:
        yield
    finally:
        signal.signal(_SIGNAL, before or signal.SIG_DFL)


def _raise_lost(*_: object) -> None:
    raise _Lost


class _Heart(threading.Thread):
    """Renews a lease until it is stopped or lost."""

    def __init__(self, file: Path, own: Holder) -> None:
        super().__init__(daemon=True, name=f"lease of {file.parent.name}")
        self.file, self.own, self.lost = file, own, False
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(BEAT_S):
            renewed = replace(self.own, beat=time.time())
            try:
                kept = storage_of(self.file).swap(self.file, self.own.text, renewed.text)
            except OSError:  # a file system that is away for a moment; others judge by the beat
                continue
            if not kept:
                self.lost = True
                _thread.interrupt_main(_SIGNAL)
                return
            self.own = renewed

    def stop(self) -> None:
        self._done.set()
        self.join()
        if not self.lost:
            with suppress(OSError):
                storage_of(self.file).swap(self.file, self.own.text, None)


def _acquire(file: Path, own: Holder) -> None:
    storage = storage_of(file)
    while not storage.create(file, own.text):
        try:
            with storage.open(file) as stream:
                text = stream.read().decode()
        except FileNotFoundError:  # given back just now
            continue
        holder = Holder.from_text(text)
        if not (holder is None or holder.is_gone() or holder.is_earlier_try_of(own)):
            raise Conflict(
                f"{file.parent}: 'wsol {holder.verb}' works there (process {holder.pid} on "
                f"{holder.host}, since {holder.since}); wait for it, or end it"
            )
        if storage.swap(file, text, own.text):
            return


def _machine() -> str:
    """Names a process table: containers on one machine have one each."""
    parts = [socket.gethostname(), str(int(psutil.boot_time()))]
    with suppress(OSError):  # not everywhere
        parts[1] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)


def _runs(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return bool(alive and abs(process.create_time() - started) < 1.0)
    except psutil.NoSuchProcess:
        return False
