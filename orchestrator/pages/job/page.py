"""The report of a job: one self-contained HTML page that loads nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import JobPaths
from orchestrator.pages.base import template
from orchestrator.pages.heat_table import together
from orchestrator.pages.job.cases import RULES, select
from orchestrator.pages.job.charts import charts
from orchestrator.pages.job.facts import facts, footer, quarantined, served, stages
from orchestrator.pages.job.methods import Method, read_methods
from orchestrator.pages.job.pictures import rows_of
from orchestrator.pages.job.tables import metric_rows, metric_title, per_class
from workloads.artifacts import write_text

TEMPLATE = "job/report.html.j2"


def write_report(
    settings: Settings,
    paths: JobPaths,
    outputs: dict[str, dict[str, Any]],
    table: list[dict[str, Any]],
    shards: Path,
) -> None:
    """Write `paths.report`, whole or not at all.

    Args:
        outputs: stage name to what the stage gave, in the order in which they ran.
        table: rows of `results_table`; the last one is the centre baseline.
        shards: folder of the shards that the job was made of.

    Raises:
        NotFound, IntegrityError: something that the job made is missing or damaged.
    """
    methods = read_methods(settings, paths, outputs["champion"]["recipe"])
    page = template(TEMPLATE).render(
        job=settings.job.name,
        split=settings.job.data.test_split,
        methods=methods,
        champion=_champion(settings, outputs["champion"]),
        facts=facts(settings, shards),
        metrics=metric_rows(table, methods),
        charts=charts(methods),
        per_class=per_class(methods, settings.job.registry.select_by),
        together=together(methods[0].card.classes, methods[0].card.cooccurrence),
        annotated=outputs["annotate"],
        served=served(settings, paths, outputs["annotate"]),
        stages=stages(paths, list(outputs)),
        quarantined=quarantined(outputs),
        footer=footer(paths, shards, methods[0]),
        **_pictures(settings, methods, shards),
    )
    write_text(paths.report, page)


def _champion(settings: Settings, champion: dict[str, Any]) -> dict[str, Any]:
    values = dict(champion["values"])
    value = values.pop(champion["recipe"])
    others = [{"name": name, "value": v} for name, v in values.items()]
    return {
        **champion,
        "metric": metric_title(champion["metric"]),
        "split": settings.job.data.val_split,
        "value": value,
        "second": max(others, key=lambda other: other["value"], default=None),
    }


def _pictures(settings: Settings, methods: list[Method], shards: Path) -> dict[str, Any]:
    stored = [(method.predictions, method.card) for method in methods]
    selection = select(stored)
    split = settings.job.data.test_split
    rows = list(rows_of(selection.chosen, stored, shards, split, settings.images))
    return {"selection": selection, "rules": RULES, "rows": rows}
