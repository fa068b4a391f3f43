"""`wsol register`: a run's model becomes a version in the registry."""

from __future__ import annotations

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


def register(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A finished run of `wsol train`.")],
    alias: Annotated[
        str | None,
        typer.Option(help="Point this alias at the version.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Register a tuned model: weights, thresholds, classes and provenance as one version."""
    settings = read_settings(context, config, overrides)
    from orchestrator.config.workspace import Workspace
    from orchestrator.register import register_run

    with working():
        paths = Workspace(settings.workspace).run(run_name(run))
        result = register_run(settings, paths, settings.registry.model, alias)
    report(result, output)
