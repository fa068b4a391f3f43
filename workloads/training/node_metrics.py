"""Load of the machines that a training runs on, over its epochs."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import psutil
import torch

Reading = tuple[str, dict[str, float]]


def node_reading() -> Reading:
    """Name of this machine, and its load: of its CPUs since the last reading, of memory now.

    All are percent; of several GPUs, `gpu_memory` is that of this worker's.
    """
    load = {"cpu": psutil.cpu_percent(), "memory": psutil.virtual_memory().percent}
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        load["gpu_memory"] = 100 * (1 - free / total)
    return platform.node(), load


def of_nodes(readings: Sequence[Reading]) -> dict[str, float]:
    """Metrics `system_NODE_NAME` of all machines, the highest of their workers' readings."""
    metrics: dict[str, float] = {}
    for node, load in readings:
        for name, value in load.items():
            key = f"system_{node}_{name}_percent"
            metrics[key] = max(value, metrics.get(key, 0.0))
    return metrics
