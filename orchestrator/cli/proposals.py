"""`wsol proposals`: shards to object proposals."""

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
)
from orchestrator.cli.output import Output, working


def proposals(
    context: typer.Context,
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="What `wsol ingest` wrote.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where they go; else a folder in the workspace.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="A split to read, repeatable; else all.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Search every image for regions that may hold an object, whatever its class.

    Methods that learn from them take the folder with `wsol train --proposals`. Finished proposals
    are a no-op, stopped ones continue.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.proposals import propose
    from workloads.shards.shards import Shards

    with working():
        found = propose(settings, Shards.open(shards), settings.proposals, split or (), out)
    result = {"folder": found.folder, "digest": found.digest, "images": found.images}
    report(result, output)
