"""Peak memory of a process and all below it, while it runs."""

from __future__ import annotations

import threading

import psutil

SAMPLE_S = 0.5


class PeakMemory:
    """The most memory that a process held while the block ran, in proportional set size.

    Attributes:
        bytes: of it and of every process below it; pages that they share count once.
        own_bytes: of it alone.
    """

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self.bytes = self.own_bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            try:
                processes = [self.root, *self.root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            held = [_held_by(process) for process in processes]
            self.bytes = max(self.bytes, sum(held))
            self.own_bytes = max(self.own_bytes, held[0])


def _held_by(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
