"""Extent of a benchmark, and what a benchmark is."""

from __future__ import annotations

from typing import Literal, Protocol

Extent = Literal["quick", "usual", "full"]
"""quick: seconds, to see that it runs; usual: under a minute on a machine that does other work
too; full: as large as what is compared with, for the numbers that the documentation quotes."""


class Benchmark(Protocol):
    """A measurement, as plain JSON."""

    def __call__(self, extent: Extent = ...) -> dict[str, object]:
        """Measure; "ratio" is to the baseline, above 1 if faster."""
