"""Tables of a report: metrics by methods, metrics by classes, classes by classes."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.report.methods import Method
from workloads.metrics import METRICS

PER_CLASS_METRICS = 3
PER_CLASS_ROWS = 24
TOGETHER_CLASSES = 16
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


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A name and its values in [0, 1], with what a pointer on each of them says."""

    name: str
    cells: tuple[float | None, ...]
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeatTable:
    """Rows of shaded values.

    Attributes:
        groups: texts over `span` columns each.
        heads: texts over single columns, or positions of methods.
        note: what was left out.
    """

    rows: tuple[HeatRow, ...]
    groups: tuple[str, ...] = ()
    span: int = 1
    heads: tuple[str | int, ...] = ()
    note: str = ""
    decimals: int = 0

    @property
    def crowded(self) -> bool:
        """Whether the heads have to stand upright."""
        names = [head for head in self.heads if isinstance(head, str)]
        return len(names) > 10 or any(len(name) > 7 for name in names)


def percent(value: float | None, decimals: int = 1) -> str:
    """A value in [0, 1] in percent; an en dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{decimals}f}"


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


def together(classes: Sequence[str], cooccurrence: Sequence[Sequence[float]]) -> HeatTable:
    """(K, K) p(row | column) by class; of many classes those with most in common."""
    p = np.asarray(cooccurrence, dtype=float).reshape(len(classes), -1)
    others = np.where(np.eye(len(p), dtype=bool), 0.0, p)
    strength = np.maximum(others.max(axis=0, initial=0), others.max(axis=1, initial=0))
    kept = sorted(np.argsort(-strength, kind="stable")[:TOGETHER_CLASSES].tolist())
    names = [classes[k] for k in kept]
    left_out = len(p) - len(kept)
    return HeatTable(
        rows=tuple(
            HeatRow(
                classes[i],
                tuple(None if i == j else float(p[i, j]) for j in kept),
                tuple(f"{classes[i]} where {name} is" for name in names),
            )
            for i in kept
        ),
        heads=tuple(names),
        note=f"{left_out} classes that share less are left out." if left_out else "",
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
