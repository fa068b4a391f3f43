"""The table at the end of a job: methods by metrics, with the centre baseline."""

from __future__ import annotations

from typing import Any

CENTRE = "centre"


def results_table(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of {"name", metric: value in [0, 1] or None}; metrics that counted nothing are out.

    Args:
        results: recipe name to the metrics that `wsol evaluate` gives.
    """
    rows = [
        {"name": name, **_values(result["metrics"], "value")} for name, result in results.items()
    ]
    first = next(iter(results.values()))
    # The centre baseline depends on the data alone, so every result holds the same.
    rows.append({"name": CENTRE, **_values(first["metrics"], "centre")})
    return rows


def _values(metrics: dict[str, Any], which: str) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, metric in metrics.items():
        if metric["counted"]:
            values[name] = metric[which]
    return values
