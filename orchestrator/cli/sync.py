"""`wsol sync`: metrics that the tracking server missed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, read_settings
from orchestrator.cli.output import Output, emit, facts_table, working
from workloads.errors import ClusterError


def sync(
    context: typer.Context,
    events: Annotated[Path, typer.Argument(help="The event log that a warning named.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send a run's metrics again, after the tracking server was away; twice does no harm.

    Exit code 8 if it is still away.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.tracking.tracker import Tracker

    with working():
        sent = Tracker(settings).sync(events)
    facts = {"events": str(events), "sent": sent}
    emit(facts, output, lambda: facts_table(facts))
    if not sent:
        raise typer.Exit(ClusterError.exit_code)
