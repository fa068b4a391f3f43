"""Charts of a plan: every seed of every reading, and learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from orchestrator.pages.figures import Chart, Line, curves, strips

CURVES = {
    "val_classification_map": "classification mAP, validation",
    "loss": "loss, training images",
}
"""Curves by preference; the first that every trial has is drawn."""

Epochs = Sequence[Mapping[str, float]]


def dots(title: str, rows: Sequence[tuple[str, int, Sequence[float]]], alt: str) -> Chart | None:
    """One metric: a row for each reading with a dot for each seed; None without any case.

    Args:
        rows: name, position (for the colour) and the values over seeds.
    """
    drawn = [(name, key, [v for v in values if not math.isnan(v)]) for name, key, values in rows]
    if not any(values for _, _, values in drawn):
        return None
    return Chart(strips(drawn, title, alt), "Dots: seeds. Stroke: their mean.")


def learning(learned: Sequence[tuple[int, Epochs]], alt: str) -> Chart | None:
    """Learning curves of all trials on a data set, each in the colour of its training."""
    for key, title in CURVES.items():
        if learned and all(epochs and all(key in e for e in epochs) for _, epochs in learned):
            lines = [
                Line(method, [e["epoch"] for e in epochs], [e[key] for e in epochs])
                for method, epochs in learned
            ]
            percent = key != "loss"
            svg = curves(lines, "epoch", title, alt, percent=percent, epochs=True)
            return Chart(svg, "A curve for each seed of each training.")
    return None
