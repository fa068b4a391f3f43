"""`wsol data`: make the embedded data, and look at shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    SetOption,
    group,
    read_settings,
    report,
)
from orchestrator.cli.output import Output, emit, facts_table, make_table, working

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from orchestrator.data.inspect import Inspected
    from workloads.shards.statistics import Inspection

_MOST_CLASSES, _END_CLASSES = 12, 5
_MOST_REASONS = 10

app = group("Make data, and look at what was ingested; nothing is downloaded.")


@app.command()
def make(
    context: typer.Context,
    dataset: Annotated[
        str | None, typer.Argument(help="digits or single-digits; else data.dataset.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Else a folder in the workspace.", show_default=False),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Write it as this real data set is distributed, see `wsol list datasets`.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make an embedded data set as the settings say; the same options give the same bytes."""
    settings = read_settings(context, config, overrides)
    from orchestrator.data.make import make as work

    with working():
        result = work(
            settings, dataset or settings.data.dataset, settings.data.embedded, out, layout
        )
    report(result, output)


@app.command()
def inspect(
    context: typer.Context,
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="What `wsol ingest` wrote.")],
    split: Annotated[
        str | None, typer.Option(help="The only one to look at.", show_default=False)
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="How many the contact sheet shows.")] = 48,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the page and the contact sheet go; else a folder in the workspace.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Count what is in shards, and write a page and a contact sheet to look at.

    By split: images, classes, boxes, and why images were quarantined.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.data.inspect import inspect as work
    from workloads.shards.shards import Shards

    with working():
        result = work(settings, Shards.open(shards), split, out, images)
    emit(result, output, lambda: _inspected(result))


def _inspected(result: Inspected) -> Group:
    from rich.console import Group

    files = {"page": result.page, "contact sheet": result.contact_sheet}
    data = result.data
    parts = [_facts(data), *_classes(data), *_reasons(data), facts_table(files)]
    return Group(*(part for table in parts for part in ("", table)))


def _facts(data: Inspection) -> Table:
    from orchestrator.pages.data.tables import fact_rows

    rows = ([row.title, *map(str, row.cells)] for row in fact_rows(data.splits))
    return make_table([data.dataset, *(split.split for split in data.splits)], rows)


def _classes(data: Inspection) -> Iterator[Table]:
    from orchestrator.pages.data.tables import class_tables

    names = [split.split for split in data.splits]
    columns = [f"{name} {what}" for name in names for what in ("images", "boxes")]
    for table in class_tables(data, _MOST_CLASSES, _END_CLASSES):
        rows = (
            [name, *(n for cell in cells for n in (cell.images, cell.boxes))]
            for name, cells in table.rows
        )
        yield make_table([table.title, *columns], rows)


def _reasons(data: Inspection) -> Iterator[Table]:
    rows = [(split.split, r.count, r.kind) for split in data.splits for r in split.reasons]
    if rows:
        rows.sort(key=lambda row: -row[1])
        yield make_table(["quarantined in", "images", "reason"], rows[:_MOST_REASONS])
