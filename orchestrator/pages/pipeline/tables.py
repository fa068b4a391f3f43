"""Tables of a report: metrics by methods, metrics by classes, classes by classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.pages.base import percent
from orchestrator.pages.heat_table import HeatRow, HeatTable
from orchestrator.pages.pipeline.methods import Method
from workloads.metrics.registry import METRICS

PER_CLASS_METRICS = 3
PER_CLASS_ROWS = 24
_SOURCE = re.compile(r" \([^()]*section[^()]*\)")  # for those who have the papers at hand


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of one method, in [0, 1]; None where it is not defined.

    Attributes:
        interval: of the bootstrap, if there is one.
    """

    method: int
    value: float | None
    best: bool
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of all methods and of the centre baseline."""

    title: str
    explained: str
    cells: tuple[Cell, ...]
    centre: float | None


def metric_rows(table: Sequence[dict[str, Any]], methods: Sequence[Method]) -> list[MetricRow]:
    """The results table turned around: metrics have long names, and a phone is narrow."""
    *rows, centre = table
    by_name = {row["name"]: row for row in rows}
    keys = [key for key in dict.fromkeys(key for row in table for key in row) if key != "name"]
    return [_metric_row(key, methods, [by_name[m.name] for m in methods], centre) for key in keys]


def metric_title(key: str) -> str:
    """The name of a metric for people."""
    return METRICS[key].title if key in METRICS else key


def per_class(methods: Sequence[Method], first: str) -> HeatTable:
    """Main metrics by class; of many classes the best and the worst of the champion.

    Args:
        first: the metric that decides which classes those are.
    """
    keys = [k for k, m in methods[0].results["metrics"].items() if m["per_class"]]
    keys = sorted(keys, key=lambda key: key != first)[:PER_CLASS_METRICS]
    if not keys:
        return HeatTable((), note="No metric has values by class.")
    ranked = methods[0].results["metrics"][keys[0]]["per_class"]
    best_first = sorted(ranked, key=lambda k: (-(ranked[k] or 0.0), int(k)))
    shown = sorted(best_first, key=int)
    note = ""
    if len(best_first) > PER_CLASS_ROWS:
        half = PER_CLASS_ROWS // 2
        shown = best_first[:half] + best_first[-half:]
        note = (
            f"The {half} best and the {half} worst of {len(ranked)} classes, "
            f"by {metric_title(keys[0])} of {methods[0].name}."
        )
    return HeatTable(
        rows=tuple(_class_row(label, keys, methods) for label in shown),
        groups=tuple(metric_title(key) for key in keys),
        span=len(methods),
        heads=tuple(range(len(methods))) * len(keys),
        note=note,
    )


def _metric_row(
    key: str, methods: Sequence[Method], rows: Sequence[dict[str, Any]], centre: dict[str, Any]
) -> MetricRow:
    values = [row.get(key) for row in rows]
    best = max if METRICS[key].higher_is_better else min
    # What is printed decides: two values that read the same are both best.
    top = percent(best((v for v in values if v is not None), default=None))
    cells = tuple(
        Cell(
            index,
            value,
            best=len(rows) > 1 and value is not None and percent(value) == top,
            interval=None if value is None else _interval(method, key),
        )
        for index, (method, value) in enumerate(zip(methods, values, strict=True))
    )
    return MetricRow(metric_title(key), _explained(key), cells, centre.get(key))


def _interval(method: Method, key: str) -> tuple[float, float] | None:
    found = method.results["metrics"].get(key, {}).get("interval")
    return None if found is None else (found[0], found[1])


def _explained(key: str) -> str:
    """The first sentence of the metric's own documentation."""
    first = (inspect.getdoc(METRICS[key]) or "").partition("\n\n")[0]
    return _SOURCE.sub("", " ".join(first.split()))


def _class_row(label: str, keys: Sequence[str], methods: Sequence[Method]) -> HeatRow:
    columns = [(key, method) for key in keys for method in methods]
    return HeatRow(
        methods[0].card.classes[int(label)],
        tuple(m.results["metrics"][key]["per_class"].get(label) for key, m in columns),
        tuple(f"{metric_title(key)}, {m.name}" for key, m in columns),
    )
