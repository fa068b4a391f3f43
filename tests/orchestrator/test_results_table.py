"""The table at the end of a job."""

from __future__ import annotations

from typing import Any

from orchestrator.results_table import results_table


def metric(value: float | None, centre: float | None, counted: int = 5) -> dict[str, Any]:
    return {"value": value, "centre": centre, "counted": counted}


def test_methods_by_metrics_with_the_centre_last() -> None:
    results = {
        "first": {"metrics": {"pointing": metric(0.9, 0.2), "pxap": metric(None, None, 0)}},
        "second": {"metrics": {"pointing": metric(0.8, 0.2), "pxap": metric(None, None, 0)}},
    }
    assert results_table(results) == [
        {"name": "first", "pointing": 0.9},
        {"name": "second", "pointing": 0.8},
        {"name": "centre", "pointing": 0.2},
    ]


def test_a_metric_without_a_centre_has_none() -> None:
    results = {"only": {"metrics": {"f1": metric(0.4, None)}}}
    assert results_table(results)[-1] == {"name": "centre", "f1": None}
