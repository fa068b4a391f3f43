"""The table at the end of a pipeline: methods by metrics, with the centre baseline."""

from __future__ import annotations

from typing import Any

from workloads.metrics.registry import METRICS

CENTRE = "centre"


def results_table(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of {"name", metric: value in [0, 1] or None}, metrics in the order of the registry.

    A metric that counted nothing for a method is not in its row.

    Args:
        results: recipe name to the metrics that `wsol evaluate` gives.
    """
    rows = [{"name": name, **_values(metrics, "value")} for name, metrics in results.items()]
    # The centre baseline depends on the data alone: whatever method has a metric has the same.
    centre: dict[str, Any] = {}
    for metrics in results.values():
        centre = {**_values(metrics, "centre"), **centre}
    rows.append({"name": CENTRE, **{name: centre[name] for name in METRICS if name in centre}})
    return rows


def unmeasured(table: list[dict[str, Any]]) -> list[str]:
    """Metrics that are in no row, in the order of the registry."""
    return [name for name in METRICS if not any(name in row for row in table)]


def _values(metrics: dict[str, Any], which: str) -> dict[str, float | None]:
    # Files have their keys sorted, so the order of the registry is restored here.
    return {
        name: metrics[name][which]
        for name in METRICS
        if name in metrics and metrics[name]["counted"]
    }
