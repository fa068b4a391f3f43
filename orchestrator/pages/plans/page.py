"""The report of a plan: one self-contained HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.pages.base import Fact, template
from orchestrator.pages.figures import Chart
from orchestrator.pages.plans.charts import Epochs, dots, learning
from workloads.artifacts import write_text
from workloads.metrics.registry import METRICS

TEMPLATE = "plans/plan.html.j2"


@dataclass(frozen=True, slots=True)
class Reading:
    """One row of a table.

    Attributes:
        key: position, which decides the colour.
        row: `seeds`, and metric to its mean and deviation over them.
        seeds: metric to the value of each seed.
    """

    name: str
    key: int
    row: Mapping[str, Any]
    seeds: Mapping[str, Mapping[int, float]]


@dataclass(frozen=True, slots=True)
class DataStory:
    """One data set.

    Attributes:
        learned: position of a training, and the learning curve of one of its trials.
    """

    name: str
    readings: Sequence[Reading]
    learned: Sequence[tuple[int, Epochs]]


@dataclass(frozen=True, slots=True)
class PlanStory:
    """All that the report of a plan tells.

    Attributes:
        claims: outcomes, as in the result.
        failed: name and error of each trial that failed.
    """

    name: str
    metrics: Sequence[str]
    data: Sequence[DataStory]
    claims: Sequence[Mapping[str, Any]]
    failed: Sequence[tuple[str, str]]
    facts: tuple[Fact, ...]


def write_plan_report(path: Path, story: PlanStory) -> None:
    """Write the page, whole or not at all."""
    page = template(TEMPLATE).render(
        title=story.name,
        facts=story.facts,
        metrics=[(name, METRICS[name].title) for name in story.metrics],
        data=[(data, _charts(story, data)) for data in story.data],
        claims=story.claims,
        failed=story.failed,
    )
    write_text(path, page)


def _charts(story: PlanStory, data: DataStory) -> list[Chart]:
    drawn = [
        dots(
            METRICS[metric].title,
            [(one.name, one.key, list(one.seeds[metric].values())) for one in data.readings],
            f"{metric} of every seed on {data.name}",
        )
        for metric in story.metrics
    ]
    drawn.append(learning(data.learned, f"learning curves on {data.name}"))
    return [chart for chart in drawn if chart is not None]
