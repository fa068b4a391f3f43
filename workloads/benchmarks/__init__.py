"""Measurements of speed, each against a baseline, with a check that both find the same.

A benchmark is a function without arguments that returns plain JSON: "name", "ratio" (above 1
means faster than the baseline) and what it measured.
"""

from __future__ import annotations

from collections.abc import Callable

from workloads.benchmarks.contours import compare_contours
from workloads.benchmarks.cutoffs import compare_cutoffs
from workloads.benchmarks.protocols import compare_protocols
from workloads.registry import Registry

__all__ = ["BENCHMARKS"]

BENCHMARKS: Registry[Callable[[], dict[str, object]]] = Registry(
    "benchmark",
    {"cutoffs": compare_cutoffs, "contours": compare_contours, "protocols": compare_protocols},
)
