"""Charts as SVG: what is drawn, and nothing but it."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from orchestrator.pages.figures import (
    METHOD_COLOURS,
    Line,
    Trial,
    curves,
    histograms,
    strips,
    trials,
)

EDGES = (0.01, 0.1, 1.0)
TICKS = {0.01: "one in a hundred", 1.0: "all"}


def line(method: int = 0, **values: object) -> Line:
    return Line(**{"method": method, "x": [0, 1, 2], "y": [0.1, 0.2, 0.3], **values})


def test_a_chart_is_one_whole_element_with_its_words() -> None:
    svg = curves([line()], "x & y", "<title>", 'say "so"')
    root = ET.fromstring(svg)
    assert root.attrib["aria-label"] == 'say "so"'
    assert root.attrib["role"] == "img"
    assert root.attrib["viewBox"] == "0 0 360 223.2"
    texts = [text for element in root.iter() if (text := (element.text or "").strip())]
    assert "x & y" in texts
    assert "<title>" in texts


def test_the_same_values_give_the_same_bytes() -> None:
    assert curves([line()], "x", "y", "alt") == curves([line()], "x", "y", "alt")
    assert curves([line()], "x", "y", "alt") != curves([line(y=[0.1, 0.2, 0.4])], "x", "y", "alt")


def test_colours_of_methods_start_again() -> None:
    for method in range(METHOD_COLOURS):
        assert f"var(--m{method})" in curves([line(method)], "x", "y", "alt")
    again = curves([line(METHOD_COLOURS + 2)], "x", "y", "alt")
    assert "var(--m2)" in again
    assert "var(--m8)" not in again


def strokes(svg: str) -> int:
    """How often the pen is set down for the first method's curve."""
    paths = re.findall(r'<path d="([^"]*)"[^>]*stroke: var\(--m0\)', svg)
    return sum(path.count("M ") for path in paths)


def test_a_gap_is_no_line_across_it() -> None:
    values = [0.1, 0.2, 0.25, 0.3, 0.1]
    assert strokes(curves([line(x=range(5), y=values)], "x", "y", "alt")) == 1
    values[2] = math.nan
    assert strokes(curves([line(x=range(5), y=values)], "x", "y", "alt")) == 2


@pytest.mark.parametrize("log", [False, True])
def test_counts_are_no_percent(*, log: bool) -> None:
    svg = curves([line(y=[0, 100, 20000])], "classes", "Images", "alt", percent=False, log=log)
    assert "%" not in svg
    assert ("10,000" in svg) is log
    assert "%" in curves([line()], "x", "y", "alt")


def test_histograms_have_the_ticks_they_were_given_and_leave_out_nothing_drawn() -> None:
    svg = histograms([[0.25, 0.75], None, [1.0, 0.0]], EDGES, TICKS, "x", "title", "alt")
    assert "one in a hundred" in svg
    assert "var(--m0)" in svg
    assert "var(--m1)" not in svg  # the second has no box; the third keeps its own colour
    assert "var(--m2)" in svg


@pytest.mark.parametrize("alphas", [(), (0.0,), (0.0, 0.5)])
def test_trials_of_any_alpha_can_be_drawn(alphas: tuple[float, ...]) -> None:
    svg = trials([Trial(0, 0.1 * k, 0.5, a) for k, a in enumerate(alphas)], "x", "y", "alt")
    ET.fromstring(svg)
    assert ("var(--m0)" in svg) is bool(alphas)


def test_strips_have_a_dot_for_each_value_and_a_stroke_at_their_mean() -> None:
    rows = [("first", 0, [0.2, 0.4]), ("none", 1, []), ("last", 2, [0.5])]
    svg = strips(rows, "title", "alt")
    root = ET.fromstring(svg)
    texts = [text for element in root.iter() if (text := (element.text or "").strip())]
    assert [text for text in texts if text in ("first", "none", "last")] == [
        "first",
        "none",
        "last",
    ]

    def places(method: int) -> list[float]:
        """Horizontal places of all marks of a method, in the order in which they are drawn."""
        used = rf'<use [^>]*x="([\d.]+)"[^>]*stroke: var\(--m{method}\)'
        return [float(x) for x in re.findall(used, svg)]

    left, right, mean = places(0)
    assert mean == pytest.approx((left + right) / 2, abs=0.02)
    assert places(1) == []
    alone, its_mean = places(2)
    assert alone == its_mean > right
