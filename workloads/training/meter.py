"""Time and memory of an epoch on one worker."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
TIMINGS = ("images_per_s", "loader_wait", "memory_mb")
"""Names of readings that differ from run to run."""


class Meter:
    """Images, seconds and seconds of waiting since it was made."""

    def __init__(self) -> None:
        self.images = 0
        self._waited = 0.0
        self._began = time.monotonic()

    def waiting(self, values: Iterable[T]) -> Iterator[T]:
        """The same values; the time until each comes is time of waiting."""
        iterator = iter(values)
        while True:
            asked = time.monotonic()
            try:
                value = next(iterator)
            except StopIteration:
                return
            finally:
                self._waited += time.monotonic() - asked
            yield value

    def readings(self) -> dict[str, float]:
        """Images/s, share of the time that the training waited for images, peak memory in MB."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        return {
            "images_per_s": self.images / seconds,
            "loader_wait": self._waited / seconds,
            "memory_mb": _peak_memory_mb(),
        }


def of_all(readings: Sequence[dict[str, float]]) -> dict[str, float]:
    """Readings of all workers as one: the sum of images/s, the largest of the others."""
    most = {name: max(one[name] for one in readings) for name in TIMINGS}
    return {**most, "images_per_s": sum(one["images_per_s"] for one in readings)}


def _peak_memory_mb() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
