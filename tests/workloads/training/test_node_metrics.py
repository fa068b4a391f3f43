"""Each machine has its load once, whatever the number of workers on it."""

from __future__ import annotations

import platform

from workloads.training.node_metrics import node_reading, of_nodes


def test_the_highest_reading_of_a_machine_counts() -> None:
    readings = [("a", {"cpu": 40.0}), ("b", {"cpu": 10.0}), ("a", {"cpu": 90.0, "memory": 5.0})]
    assert of_nodes(readings) == {
        "system_a_cpu_percent": 90.0,
        "system_b_cpu_percent": 10.0,
        "system_a_memory_percent": 5.0,
    }


def test_this_machine_has_a_load() -> None:
    node, load = node_reading()
    assert node == platform.node()
    assert 0 <= load["cpu"] <= 100
    assert 0 < load["memory"] <= 100
