"""The table at the end of a pipeline."""

from __future__ import annotations

from typing import Any

from orchestrator.pipeline.table import results_table
from workloads.metrics.registry import METRICS


def metric(value: float | None, centre: float | None, counted: int = 5) -> dict[str, Any]:
    return {"value": value, "centre": centre, "counted": counted}


def test_methods_by_metrics_with_the_centre_last() -> None:
    results = {
        "first": {"pointing": metric(0.9, 0.2), "pxap": metric(None, None, 0)},
        "second": {"pointing": metric(0.8, 0.2), "pxap": metric(None, None, 0)},
    }
    assert results_table(results) == [
        {"name": "first", "pointing": 0.9},
        {"name": "second", "pointing": 0.8},
        {"name": "centre", "pointing": 0.2},
    ]


def test_a_metric_without_a_centre_has_none() -> None:
    results = {"only": {"box_f1": metric(0.4, None)}}
    assert results_table(results)[-1] == {"name": "centre", "box_f1": None}


def test_the_centre_is_that_of_any_method_and_metrics_come_in_order() -> None:
    results = {
        "without": {"object_energy": metric(None, None, 0), "box_f1": metric(0.1, None)},
        "with": {"box_f1": metric(0.2, None), "object_energy": metric(0.3, 0.15)},
    }
    rows = results_table(results)
    assert rows[-1] == {"name": "centre", "box_f1": None, "object_energy": 0.15}
    names = ["name", *(name for name in METRICS if name in rows[1])]
    assert list(rows[1]) == list(rows[2]) == names
