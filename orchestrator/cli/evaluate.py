"""`wsol evaluate`: metrics of a model on a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, read_settings
from orchestrator.cli.output import Output, emit, make_table, note, plain, working

if TYPE_CHECKING:
    from rich.table import Table


def evaluate(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="A model's folder, or NAME@ALIAS or NAME/VERSION (registered).")
    ],
    shards: Annotated[Path, typer.Option(metavar="FOLDER", help="What `wsol ingest` wrote.")],
    split: Annotated[
        str | None, typer.Option(help="Else job.data.test_split.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where stored scores and maps go; else a folder in the workspace.",
            show_default=False,
        ),
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Show one row per class too.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Measure a model on a split with every metric that its data allow.

    Scores and maps are stored once; measuring the same model again needs no network.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.evaluate import evaluate as work

    with working():
        value = plain(work(settings, model, shards, split or settings.job.data.test_split, out))
    subject = f"{value['method']} on {value['backbone']}"
    note(f"{subject}: {value['images']} images of split {value['split']}")
    emit(value, output, lambda: _table(value, per_class))


def _table(result: dict[str, Any], per_class: bool) -> Table:
    columns = ["metric", "class", "value", "centre", "counted", "skipped"]
    rows = [
        row for name, metric in result["metrics"].items() for row in _rows(name, metric, result)
    ]
    if per_class:
        return make_table(columns, rows)
    kept = [row for row in rows if row[1] == "all"]
    return make_table([c for c in columns if c != "class"], [[r[0], *r[2:]] for r in kept])


def _rows(name: str, metric: dict[str, Any], result: dict[str, Any]) -> Iterator[list[Any]]:
    overall = (metric["value"], metric["centre"], metric["counted"], metric["skipped"])
    yield [name, "all", *overall]
    for label, value in metric["per_class"].items():
        yield [name, result["classes"][int(label)], value, None, None, None]
