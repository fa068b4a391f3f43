"""`wsol train`: one recipe on shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    SetOption,
    read_settings,
    report,
    run_name,
)
from orchestrator.cli.output import Output, working


def train(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A name from `wsol list recipes`.")],
    shards: Annotated[Path, typer.Option(metavar="FOLDER", help="What `wsol ingest` wrote.")],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run; else the recipe's name.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished run.")] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead of the recipe's.", show_default=False)
    ] = None,
    initial: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="What the backbone starts from: a model's folder or a weights file.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Train a recipe on data-parallel workers.

    A run's name is used once: a finished or different run of that name is refused.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.train import train as work
    from orchestrator.workspace import Workspace

    paths = Workspace(settings.workspace).run(run_name(name or recipe))
    with working():
        result = work(
            settings, recipe, shards, paths, resume=resume, epochs=epochs, initial=initial
        )
    report(result, output)
