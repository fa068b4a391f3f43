"""Charts as inline SVG in the colours of the page, so that they follow light, dark and print.

Matplotlib draws with placeholder colours; they are replaced by the page's CSS variables. Names
of methods never stand inside a chart: the page has one key for all of them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

METHOD_COLOURS = 6
_INK, _MUTED, _LINE = "#010101", "#010102", "#010103"
_METHODS = tuple(f"#0102{index:02x}" for index in range(METHOD_COLOURS))
_VARIABLES = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _LINE: "var(--line)",
    **{colour: f"var(--m{index})" for index, colour in enumerate(_METHODS)},
}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "text.parse_math": False,  # a class called "$x$" is just a name
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.8,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}
_WIDTH, _HEIGHT = 5.0, 3.1  # inches of 72 units: text is about 10 px wide on a phone


@dataclass(frozen=True, slots=True)
class Line:
    """One curve.

    Attributes:
        method: position of the method, which decides the colour.
        x, y: the points; NaN leaves a gap.
        dashes: "-", "--" or ":".
        mark: the point to mark, if any.
        steps: draw a histogram's outline, x being the middle of its bins.
    """

    method: int
    x: Sequence[float]
    y: Sequence[float]
    dashes: str = "-"
    mark: tuple[float, float] | None = None
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One dot: the position of the method, the place, and the co-occurrence weight."""

    method: int
    x: float
    y: float
    alpha: float


def curves(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    alt: str,
    *,
    percent: bool = True,
    epochs: bool = False,
    log: bool = False,
) -> Markup:
    """Curves over a common axis; `percent` for y in [0, 1], `epochs` for whole x, `log` for y."""
    with _drawing() as (figure, axes):
        for line in lines:
            colour = _METHODS[line.method % METHOD_COLOURS]
            marker = "o" if len(line.x) == 1 else ""
            style = "steps-mid" if line.steps else "default"
            axes.plot(
                line.x, line.y, line.dashes, color=colour, marker=marker, markersize=4,
                drawstyle=style,
            )  # fmt: skip
            if line.mark is not None:
                axes.vlines(line.mark[0], 0, line.mark[1], color=colour, lw=0.9, ls=":")
                axes.plot(*line.mark, "o", color=colour, markersize=6)
        axes.set_xlabel(x_label)
        axes.set_title(y_label, loc="left", color=_INK, fontsize=12)
        axes.grid(axis="x", visible=False)
        if percent:
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        if epochs:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if log:
            axes.set_yscale("symlog", linthresh=1)  # it has a place for 0
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        return _svg(figure, alt)


def histograms(
    values: Sequence[Sequence[float] | None],
    edges: Sequence[float],
    ticks: Mapping[float, str],
    x_label: str,
    title: str,
    alt: str,
) -> Markup:
    """Outlines over common bins on a log scale, each in the colour of its position.

    Args:
        values: shares in [0, 1] of all bins; None where there is nothing to draw.
        edges: of the bins, one more than values.
        ticks: positions and texts of the x axis.
    """
    with _drawing() as (figure, axes):
        for index, shares in enumerate(values):
            if shares is not None:
                colour = _METHODS[index % METHOD_COLOURS]
                axes.stairs(shares, edges, fill=True, color=colour, alpha=0.2 / len(values), lw=0)
                axes.stairs(shares, edges, color=colour, lw=1.6, baseline=None)
        axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(list(ticks), labels=list(ticks.values()))
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
        axes.set_xlabel(x_label)
        axes.set_title(title, loc="left", color=_INK, fontsize=12)
        axes.grid(axis="x", visible=False)
        return _svg(figure, alt)


def trials(points: Sequence[Trial], x_label: str, y_label: str, alt: str) -> Markup:
    """Search trials in the colour of their method; the fuller the dot, the larger alpha."""
    with _drawing() as (figure, axes):
        largest = max((point.alpha for point in points), default=0.0) or 1.0
        for point in points:
            colour = _METHODS[point.method % METHOD_COLOURS]
            dot = {"marker": "o", "linestyle": "", "markersize": 6.5}
            axes.plot(
                point.x, point.y, **dot, color=colour, mew=0, alpha=0.9 * point.alpha / largest
            )
            axes.plot(point.x, point.y, **dot, mfc="none", mec=colour, mew=0.9)
        axes.set_xlabel(x_label)
        axes.set_title(y_label, loc="left", color=_INK, fontsize=12)
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        return _svg(figure, alt)


def parallel(
    rows: Sequence[tuple[int | None, Sequence[float]]], names: Sequence[str], title: str, alt: str
) -> Markup:
    """Parallel coordinates: a line for each row over axes that stand side by side.

    Args:
        rows: position of a method, for its colour (None: none of its own), and heights in [0, 1].
    """
    with _drawing() as (figure, axes):
        places = range(len(names))
        for method, heights in sorted(rows, key=lambda row: row[0] is not None):
            colour = _MUTED if method is None else _METHODS[method % METHOD_COLOURS]
            width, alpha = (0.8, 0.5) if method is None else (1.8, 1.0)
            axes.plot(places, heights, color=colour, lw=width, alpha=alpha)
        axes.set_xticks(list(places), labels=list(names), rotation=30, ha="right")
        axes.set_yticks([0, 1], labels=["low", "high"])
        axes.set_title(title, loc="left", color=_INK, fontsize=12)
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True)
        return _svg(figure, alt)


def strips(rows: Sequence[tuple[str, int, Sequence[float]]], title: str, alt: str) -> Markup:
    """A row for each name with a dot for each of its values in [0, 1], and a stroke at their mean.

    Args:
        rows: name, position (for the colour) and values, from top to bottom.
    """
    with _drawing(0.7 + 0.21 * len(rows)) as (figure, axes):
        places = range(len(rows))
        for place, (_, method, values) in zip(places, rows, strict=True):
            colour = _METHODS[method % METHOD_COLOURS]
            axes.plot(values, [place] * len(values), "o", color=colour, markersize=6, alpha=0.6)
            if values:
                axes.plot(sum(values) / len(values), place, "|", color=colour, ms=15, mew=2)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(list(places), labels=[name for name, _, _ in rows])
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        axes.set_title(title, loc="left", color=_INK, fontsize=12)
        return _svg(figure, alt)


@contextmanager
def _drawing(height: float = _HEIGHT) -> Iterator[tuple[Figure, Any]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.subplots()


def _svg(figure: Figure, alt: str) -> Markup:
    """The figure as an SVG element without ids, fixed size, fonts or colours of its own."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": alt}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    body = svg[svg.index("</style>") + len("</style>") :].partition("</defs>")[2]
    used = set(re.findall(r'[#(]#?([\w-]+)[")]', body))
    body = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", body)
    body = re.sub(r"font: ([\d.]+px) [^;\"]*|font-family: [^;\"]*;? ?", _font_size, body)
    body = re.sub(r"(\.\d\d)\d+", r"\1", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    width, height = figure.get_size_inches() * 72
    head = (
        f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {width:g} {height:g}" '
        'stroke-linejoin="round" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return Markup(head + body)  # noqa: S704 - matplotlib escapes text, and alt is escaped here


def _font_size(match: re.Match[str]) -> str:
    return f"font-size: {match[1]}" if match[1] else ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing and the text below it."""

    svg: Markup
    caption: str
