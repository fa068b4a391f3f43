"""The table at the end of a job."""

from __future__ import annotations

from typing import Any

from orchestrator.results_table import results_table


def metric(value: float, centre: float | None, **details: Any) -> dict[str, Any]:
    return {"value": value, "centre": centre, "details": details}


def test_methods_by_metrics_with_the_centre_last() -> None:
    subset = {"value": 0.5, "centre": 0.1}
    results = {
        "first": {"metrics": {"pointing": metric(0.9, 0.2, difficult_subset=subset)}},
        "second": {"metrics": {"pointing": metric(0.8, 0.2, difficult_subset=subset)}},
    }
    assert results_table(results) == [
        {"name": "first", "pointing": 0.9, "pointing_diff": 0.5},
        {"name": "second", "pointing": 0.8, "pointing_diff": 0.5},
        {"name": "centre", "pointing": 0.2, "pointing_diff": 0.1},
    ]


def test_a_metric_without_a_centre_has_none() -> None:
    results = {"only": {"metrics": {"f1": metric(0.4, None)}}}
    assert results_table(results)[-1] == {"name": "centre", "f1": None}
