"""Curves of a sweep: the best so far, all trials over their parameters, and the best trials'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from orchestrator.pages.figures import Chart, Line, curves, parallel
from workloads.space import Choice, Space

SHOWN = 5
CURVE_POINTS = 201


@dataclass(frozen=True, slots=True)
class Shown:
    """One of the best trials.

    Attributes:
        epochs: its learning curve.
        curve: `cutoffs` and `gt_known` of the search of its cut-offs.
        cutoff: its own best one.
    """

    number: int
    epochs: Sequence[Mapping[str, float]]
    curve: Mapping[str, Any]
    cutoff: float

    @property
    def name(self) -> str:
        return f"trial {self.number}"


def charts(
    metric: str, space: Space, finished: Sequence[Mapping[str, Any]], shown: Sequence[Shown]
) -> list[Chart]:
    """All charts, in order."""
    drawn = [
        _best_so_far(metric, finished),
        _parallel(metric, space, finished, shown),
        _cutoffs(shown),
        _learning(shown),
    ]
    return [chart for chart in drawn if chart is not None]


def _best_so_far(metric: str, finished: Sequence[Mapping[str, Any]]) -> Chart | None:
    if not finished:
        return None
    numbers, values = zip(*((t["number"], t["value"]) for t in finished), strict=True)
    best = list(accumulate(values, max))
    # Of the others a dot each: gaps between points that are NaN.
    dots = [Line(1, [n], [v]) for n, v in zip(numbers, values, strict=True)]
    title = f"{metric}, validation"
    svg = curves([*dots, Line(0, numbers, best)], "trial", title, f"best {metric} so far",
                 percent=False, epochs=True)  # fmt: skip
    return Chart(svg, f"Line: the best so far, {best[-1]:.4f} in the end. Dots: single trials.")


def _parallel(
    metric: str, space: Space, finished: Sequence[Mapping[str, Any]], shown: Sequence[Shown]
) -> Chart | None:
    names = [n for n in space if len({repr(t["values"][n]) for t in finished}) > 1]
    if not names or len(finished) < 2:
        return None
    low, high = (f(t["value"] for t in finished) for f in (min, max))
    keys = {one.number: index for index, one in enumerate(shown)}
    rows = [
        (
            keys.get(t["number"]),
            [
                *(_place(space, name, t["values"][name]) for name in names),
                (t["value"] - low) / (high - low) if high > low else 0.5,
            ],
        )
        for t in finished
    ]
    title = "All finished trials over their parameters"
    svg = parallel(rows, [*names, metric], title, f"parallel coordinates of {len(rows)} trials")
    return Chart(svg, "Each line is a trial, from the low end of each range to its high end.")


def _place(space: Space, name: str, value: Any) -> float:
    """Height of a value on its axis, 0 to 1."""
    parameter = space[name]
    if isinstance(parameter, Choice):
        last = max(1, len(parameter.values) - 1)
        return parameter.values.index(value) / last
    return parameter.share(value)


def _cutoffs(shown: Sequence[Shown]) -> Chart | None:
    lines = []
    for index, one in enumerate(shown):
        step = -(-len(one.curve["cutoffs"]) // CURVE_POINTS)
        x, y = one.curve["cutoffs"][::step], _numbers(one.curve["gt_known"][::step])
        if all(map(math.isnan, y)):
            continue
        nearest = min(range(len(x)), key=lambda i: abs(x[i] - one.cutoff))
        lines.append(Line(index, x, y, mark=(one.cutoff, y[nearest])))
    if not lines:
        return None
    title = "GT-known by cut-off, validation"
    svg = curves(lines, "cut-off of the map", title, f"{title}, of the best trials")
    return Chart(svg, "Dots: the cut-offs that the search of each trial chose.")


def _learning(shown: Sequence[Shown]) -> Chart | None:
    key = "val_classification_map"
    lines = [
        Line(index, [e["epoch"] for e in one.epochs], [e[key] for e in one.epochs])
        for index, one in enumerate(shown)
        if one.epochs and all(key in epoch for epoch in one.epochs)
    ]
    if not lines:
        return None
    title = "Classification mAP, validation"
    svg = curves(lines, "epoch", title, f"{title} by epoch, of the best trials", epochs=True)
    return Chart(svg, "Learning curves of the best trials.")


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
