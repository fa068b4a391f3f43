"""All benchmarks: those of the library, and those that run whole verbs.

A benchmark is a function of how much to measure that returns plain JSON: "name", "ratio" to its
baseline, and what it measured.
"""

from __future__ import annotations

from orchestrator.benchmarks.annotate import compare_annotation
from orchestrator.benchmarks.annotate_memory import compare_annotation_memory
from orchestrator.benchmarks.evaluate_maps import measure_evaluation
from orchestrator.benchmarks.ingest_memory import compare_ingest_memory
from orchestrator.benchmarks.ledger import measure_ledger
from orchestrator.benchmarks.methods import compare_methods
from orchestrator.benchmarks.ray_data_loader import compare_ray_data_loader
from orchestrator.benchmarks.recipes import run_recipes
from orchestrator.benchmarks.serve import compare_serving
from orchestrator.benchmarks.submit import compare_submission
from orchestrator.benchmarks.train import compare_training
from orchestrator.benchmarks.train_memory import compare_train_memory
from workloads.benchmarks.extent import Benchmark
from workloads.benchmarks.registry import BENCHMARKS as OF_THE_LIBRARY
from workloads.registry import Registry

BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    {
        **dict(OF_THE_LIBRARY.items()),
        "annotate": compare_annotation,
        "annotate-memory": compare_annotation_memory,
        "evaluate-maps": measure_evaluation,
        "ingest-memory": compare_ingest_memory,
        "ledger": measure_ledger,
        "loader-ray-data": compare_ray_data_loader,
        "methods": compare_methods,
        "recipes": run_recipes,
        "serve": compare_serving,
        "submit": compare_submission,
        "train": compare_training,
        "train-memory": compare_train_memory,
    },
)
