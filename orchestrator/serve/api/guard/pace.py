"""The pace of answers, from which follows how long a request that comes now would wait."""

from __future__ import annotations

import time
from collections.abc import Callable

MEMORY = 32
"""Answers over which the pace is averaged: each weighs 1/MEMORY, the newest most."""


class Pace:
    """Seconds from one answer to the next while there is work.

    Attributes:
        seconds: 0 before the first answer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = 0.0
        self._clock, self._count = clock, 0
        self._last = clock()

    def busy(self) -> None:
        """Note that work begins after a time without."""
        self._last = self._clock()

    def answered(self) -> None:
        """Note an answer."""
        now = self._clock()
        self._count = min(self._count + 1, MEMORY)
        self.seconds += (now - self._last - self.seconds) / self._count
        self._last = now

    def wait_s(self, before: int) -> float:
        """Seconds until so many requests are answered."""
        return before * self.seconds
