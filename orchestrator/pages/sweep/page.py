"""The report of a sweep: one self-contained HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.pages.base import Fact, template
from orchestrator.pages.sweep.charts import Shown, charts
from workloads.artifacts import write_text
from workloads.search.importance import LEAST_TRIALS, Importance, importances
from workloads.space import Space

TEMPLATE = "sweep/sweep.html.j2"
ON_TEST = {
    "box_f1": "box F1",
    "gt_known": "GT-known",
    "max_box_acc_v2": "MaxBoxAccV2",
    "pointing": "pointing",
    "classification_map": "classification mAP",
}


@dataclass(frozen=True, slots=True)
class SweepStory:
    """All that the report of a sweep tells.

    Attributes:
        trials: all of them, in order.
        shown: the best ones with their curves, the best first.
        test: metrics on the test split by trial number.
        start: number of the trial with the recipe's own parameters; None without one.
    """

    name: str
    recipe: str
    metric: str
    space: Space
    trials: Sequence[Mapping[str, Any]]
    shown: Sequence[Shown]
    test: Mapping[str, Mapping[str, Any]]
    start: int | None
    facts: tuple[Fact, ...]


def write_sweep_report(path: Path, story: SweepStory) -> None:
    """Write the page, whole or not at all."""
    finished = [t for t in story.trials if t["state"] == "finished"]
    found = importances(
        story.space, [t["values"] for t in finished], [t["value"] for t in finished]
    )
    names = _varied(story)
    page = template(TEMPLATE).render(
        title=story.name,
        recipe=story.recipe,
        metric=story.metric,
        facts=story.facts,
        names=names,
        shown=[one.name for one in story.shown],
        rows=_rows(story, names),
        charts=charts(story.metric, story.space, finished, story.shown),
        importances=found,
        importance_note=_importance_note(found, len(finished)),
        test=_test_rows(story),
    )
    write_text(path, page)


def _varied(story: SweepStory) -> list[str]:
    """Parameters with more than one value among the trials."""
    return [n for n in story.space if len({repr(t["values"][n]) for t in story.trials}) > 1]


def _rows(story: SweepStory, names: Sequence[str]) -> list[dict[str, Any]]:
    """Trials with the best first, those without a value last."""
    ranked = sorted(
        story.trials, key=lambda t: (t["value"] is None, -(t["value"] or 0.0), t["number"])
    )
    keys = {one.number: index for index, one in enumerate(story.shown)}
    return [
        {
            **trial,
            "key": keys.get(trial["number"]),
            "own": trial["number"] == story.start,
            "points": [_short(trial["values"][name]) for name in names],
            "error": trial["error"] or "",
        }
        for trial in ranked
    ]


def _importance_note(found: Sequence[Importance], trials: int) -> str:
    if not found:
        return f"{trials} finished trials are too few: at least {LEAST_TRIALS} are needed."
    told = [one.name for one in found if one.is_told]
    if not told:
        return (
            f"{trials} trials cannot tell which parameter matters: no share is above what chance "
            "alone reaches."
        )
    return f"Above what chance alone reaches in {trials} trials: {', '.join(told)}."


def _test_rows(story: SweepStory) -> list[dict[str, Any]]:
    return [
        {
            "name": f"trial {number}" + (" (the recipe's own)" if own else ""),
            "cells": [metrics.get(name, {"value": None, "interval": None}) for name in ON_TEST],
        }
        for number, metrics in story.test.items()
        for own in [int(number) == story.start]
    ]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
