"""The thing that a worker does at the moment, and since when."""

from __future__ import annotations

import time


class Activity:
    """Name of what a worker does now; other threads may read it at any time."""

    def __init__(self, name: str) -> None:
        self.begin(name)

    def begin(self, name: str) -> None:
        """Do something else from now on, or the same once more."""
        self.name, self._since = name, time.monotonic()

    def seconds(self) -> float:
        """Time since it began."""
        return time.monotonic() - self._since
