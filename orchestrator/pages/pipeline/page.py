"""The report of `wsol run`: one self-contained HTML page that loads nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import PipelinePaths
from orchestrator.pages.base import template
from orchestrator.pages.heat_table import together
from orchestrator.pages.pipeline.cases import RULES, select
from orchestrator.pages.pipeline.charts import charts
from orchestrator.pages.pipeline.facts import facts, footer, quarantined, served, stages
from orchestrator.pages.pipeline.methods import Method, read_methods
from orchestrator.pages.pipeline.outcome import Champion, Outcome
from orchestrator.pages.pipeline.pictures import rows_of
from orchestrator.pages.pipeline.tables import metric_rows, metric_title, per_class
from workloads.artifacts import write_text
from workloads.shards.shards import Shards

TEMPLATE = "pipeline/report.html.j2"


def write_report(
    settings: Settings,
    paths: PipelinePaths,
    outcome: Outcome,
    table: list[dict[str, Any]],
    shards: Shards,
) -> None:
    """Write `paths.report`, whole or not at all.

    Args:
        table: rows of `results_table`; the last one is the centre baseline.
        shards: those that all is made of.

    Raises:
        NotFound, IntegrityError, OSError: something that was made is missing or damaged.
    """
    methods = read_methods(settings, paths, outcome.champion.recipe)
    page = template(TEMPLATE).render(
        title=settings.pipeline.name,
        split=settings.data.test_split,
        methods=methods,
        champion=_champion(settings, outcome.champion),
        facts=facts(settings, shards),
        metrics=metric_rows(table, methods),
        charts=charts(methods),
        per_class=per_class(methods, outcome.champion.metric),
        together=together(methods[0].card.classes, methods[0].card.cooccurrence),
        annotated=outcome,
        served=served(outcome, settings.images),
        stages=stages(outcome.seconds),
        quarantined=quarantined(outcome.quarantines),
        footer=footer(paths, shards, methods[0]),
        **_pictures(settings, methods, shards),
    )
    write_text(paths.report, page)


def _champion(settings: Settings, champion: Champion) -> dict[str, Any]:
    values = dict(champion.values)
    value = values.pop(champion.recipe)
    second = max(values, key=lambda name: values[name], default=None)
    return {
        **asdict(champion),
        "metric": metric_title(champion.metric),
        "split": settings.data.val_split,
        "value": value,
        "second": second and {"name": second, "value": values[second]},
    }


def _pictures(settings: Settings, methods: list[Method], shards: Shards) -> dict[str, Any]:
    stored = [(method.predictions, method.card) for method in methods]
    selection = select(stored)
    split = settings.data.test_split
    rows = list(rows_of(selection.chosen, stored, shards, split, settings.images))
    return {"selection": selection, "rules": RULES, "rows": rows}
