"""Curves of a report: training, search and test of each method."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.pages.base import percent
from orchestrator.pages.figures import Chart, Line, Trial, curves, trials
from orchestrator.pages.pipeline.methods import Method
from orchestrator.pages.pipeline.tables import metric_title

CURVE_POINTS = 201
_DASHES = ("--", "-", ":")


def charts(methods: Sequence[Method]) -> list[Chart]:
    """All charts, in order: training, search, test."""
    drawn = (_loss, _learning, _search_curve, _trials, _test_curves, _overlaps)
    return [chart for draw in drawn if (chart := draw(methods)) is not None]


def _loss(methods: Sequence[Method]) -> Chart | None:
    return _epochs(methods, "loss", "Training loss", percent_axis=False)


def _learning(methods: Sequence[Method]) -> Chart | None:
    return _epochs(
        methods, "val_classification_map", "Classification mAP, validation", percent_axis=True
    )


def _epochs(methods: Sequence[Method], key: str, title: str, *, percent_axis: bool) -> Chart | None:
    lines = []
    for index, method in enumerate(methods):
        values = [epoch.get(key, math.nan) for epoch in method.epochs]
        if any(map(math.isfinite, values)):
            lines.append(Line(index, [epoch["epoch"] for epoch in method.epochs], values))
    if not lines:
        return None
    ends = ", ".join(
        f"{methods[line.method].name} {_last(line, percent_axis=percent_axis)}" for line in lines
    )
    svg = curves(lines, "epoch", title, f"{title} by epoch", percent=percent_axis, epochs=True)
    return Chart(svg, f"After the last epoch: {ends}.")


def _last(line: Line, *, percent_axis: bool) -> str:
    value = [y for y in line.y if math.isfinite(y)][-1]
    return f"{percent(value)} %" if percent_axis else f"{value:.3f}"


def _search_curve(methods: Sequence[Method]) -> Chart | None:
    if any("gt_known" in method.search.get("unmeasured", ()) for method in methods):
        return None
    lines = [_curve_line(index, method) for index, method in enumerate(methods)]
    title = f"{metric_title('gt_known')}, validation"
    chosen = ", ".join(f"{m.name} {m.card.cutoffs.cutoff:.2f}" for m in methods)
    svg = curves(lines, "cut-off of the map", title, f"{title}, by cut-off")
    return Chart(
        svg,
        f"Right boxes, the class given. Dots: the cut-offs that the search chose ({chosen}).",
    )


def _curve_line(index: int, method: Method) -> Line:
    curve = method.search["curve"]
    step = -(-len(curve["cutoffs"]) // CURVE_POINTS)
    x, y = curve["cutoffs"][::step], _numbers(curve["gt_known"][::step])
    chosen = method.card.cutoffs.cutoff
    nearest = min(range(len(x)), key=lambda i: abs(x[i] - chosen))
    return Line(index, x, y, mark=(chosen, y[nearest]))


def _trials(methods: Sequence[Method]) -> Chart | None:
    metric = methods[0].search["metric"]
    points = [
        Trial(index, trial["cutoff"], _number(trial[metric]), trial["alpha"])
        for index, method in enumerate(methods)
        for trial in method.search["trials"]
    ]
    if not points:
        return None
    title = f"Best of each α: {metric_title(metric)}, validation"
    best = ", ".join(
        f"{m.name} α = {m.card.cutoffs.alpha:.2f}, score ≥ {m.card.cutoffs.score_threshold:.2f}"
        for m in methods
    )
    svg = trials(points, "cut-off of the map", title, f"{title}, by cut-off and α")
    return Chart(
        svg,
        "A dot for each α, the weight of co-occurrence, at its best cut-off: the fuller, the "
        f"larger α. Won: {best}.",
    )


def _test_curves(methods: Sequence[Method]) -> Chart | None:
    lines: list[Line] = []
    deltas: list[str] = []
    for index, method in enumerate(methods):
        details = method.results["metrics"].get("max_box_acc_v2", {}).get("details", {})
        x, by_iou = details.get("curve_cutoffs", []), details.get("by_iou", {})
        deltas = list(by_iou) or deltas
        for dashes, values in zip(_DASHES, by_iou.values(), strict=False):
            lines.append(Line(index, x, _numbers(values["curve"]), dashes))
    if not lines:
        return None
    title = "Box accuracy of all components, test"
    names = ("dashed", "solid", "dotted")
    key = ", ".join(f"{name} {delta}" for name, delta in zip(names, deltas, strict=False))
    svg = curves(lines, "cut-off of the map", title, f"{title}, by cut-off and IoU")
    return Chart(svg, f"The best box of any component, the class given, IoU of at least: {key}.")


def _overlaps(methods: Sequence[Method]) -> Chart | None:
    lines = []
    for index, method in enumerate(methods):
        details = method.results["metrics"].get("gt_known", {}).get("details", {})
        counts = details.get("iou_histogram", [])
        if any(counts):
            bins, total = len(counts), sum(counts)
            middles = [(k + 0.5) / bins for k in range(bins)]
            lines.append(Line(index, middles, [c / total for c in counts], steps=True))
    if not lines:
        return None
    title = "Overlap of the boxes with the true ones, test"
    svg = curves(lines, "IoU", title, f"{title}, share of all by IoU")
    return Chart(
        svg, "One box for each class in an image, the class given, at the model's cut-off."
    )


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [_number(value) for value in values]


def _number(value: float | None) -> float:
    """JSON's null, a value without any case, as the NaN that leaves a gap."""
    return math.nan if value is None else value
