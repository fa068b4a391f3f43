"""`wsol run`: everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    RecipeSetOption,
    SetOption,
    exit_if_quarantined,
    note_remarks,
    note_unmeasured,
    read_settings,
)
from orchestrator.cli.output import Output, emit, facts_table, make_table, plain, working

if TYPE_CHECKING:
    from rich.console import RenderableType


def run(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the pipeline; else pipeline.name.", show_default=False),
    ] = None,
    recipe_set: RecipeSetOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Throw away what an earlier one of that name made.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Do everything: data, shards, training, search, registry, metrics, annotation, report.

    A stopped pipeline continues with its first unfinished stage. Exit code 3 if any input was
    quarantined.
    """
    wanted = [] if name is None else [f"pipeline.name={name}"]
    wanted += [f"pipeline.recipe_set={json.dumps(recipe_set)}"] if recipe_set else []
    settings = read_settings(context, config, [*(overrides or ()), *wanted])
    from orchestrator.pipeline.run import run as work

    with working():
        result = plain(work(settings, fresh=fresh))
    note_unmeasured(result["unmeasured"])
    note_remarks(result)
    emit(result, output, lambda: _answer(result))
    exit_if_quarantined(result)


def _answer(result: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    rows = result["table"]
    metrics = [key for key in dict.fromkeys(k for row in rows for k in row) if key != "name"]
    champion = result["champion"]
    facts = {
        "champion": f"{champion['name']}/{champion['version']}",
        "served answer": json.dumps(result["served"]),
        "annotations": result["annotations"],
        "report": result["report"],
    }
    # Metrics downwards: there are more of them than methods.
    table = make_table(
        ["metric", *(row["name"] for row in rows)],
        [[metric, *(_cell(row.get(metric)) for row in rows)] for metric in metrics],
    )
    return Group(table, facts_table(facts))


def _cell(value: object) -> object:
    return f"{value:.3f}" if isinstance(value, float) else value
