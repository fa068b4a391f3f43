"""Measurements of speed, each against a baseline, with a check that both find the same.

A benchmark is a function of how much to measure that returns plain JSON: "name", "ratio" (above 1
means faster than the baseline) and what it measured.
"""

from __future__ import annotations

from workloads.benchmarks.bency import compare_bency
from workloads.benchmarks.contours import compare_contours
from workloads.benchmarks.cutoffs import compare_cutoffs
from workloads.benchmarks.export import compare_export
from workloads.benchmarks.extent import Benchmark
from workloads.benchmarks.inference_cost import compare_inference_cost
from workloads.benchmarks.loader import compare_loader
from workloads.benchmarks.oquab_scales import compare_oquab_scales
from workloads.benchmarks.protocols import compare_protocols
from workloads.benchmarks.search import compare_search
from workloads.benchmarks.soft_proposal import compare_soft_proposal
from workloads.benchmarks.storage import compare_storage
from workloads.registry import Registry

BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    {
        "bency": compare_bency,
        "cutoffs": compare_cutoffs,
        "contours": compare_contours,
        "export": compare_export,
        "inference-cost": compare_inference_cost,
        "loader": compare_loader,
        "oquab-scales": compare_oquab_scales,
        "protocols": compare_protocols,
        "search": compare_search,
        "soft-proposal": compare_soft_proposal,
        "storage": compare_storage,
    },
)
