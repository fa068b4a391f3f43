"""`wsol data`: the embedded data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    SetOption,
    group,
    read_settings,
    report,
)
from orchestrator.cli.output import Output, working

app = group("Make data; nothing is downloaded.")


@app.command()
def make(
    context: typer.Context,
    dataset: Annotated[
        str | None, typer.Argument(help="digits or single-digits; else job.data.dataset.")
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
    from orchestrator.data import make as work

    with working():
        result = work(settings, dataset or settings.job.data.dataset, out, layout)
    report(result, output)
