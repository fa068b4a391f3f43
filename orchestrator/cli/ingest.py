"""`wsol ingest`: a data set on disk to shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    QuarantinedOption,
    SetOption,
    read_settings,
    report,
)
from orchestrator.cli.output import Output, working
from workloads.storage.addresses import absolute


def ingest(
    context: typer.Context,
    root: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The data set as it is; or the file of a table.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the shards go.")],
    dataset: Annotated[
        str | None,
        typer.Option(help="Its layout, see `wsol list datasets`; else data.dataset."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="A split to read, repeatable; else all.", show_default=False),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail at the first image that cannot be used as it is.")
    ] = False,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A COCO file with boxes of some of your own images, for search and metrics.",
            show_default=False,
        ),
    ] = None,
    max_quarantined: QuarantinedOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Read a data set once into Parquet shards; unusable images are quarantined with reasons.

    A finished ingest is a no-op, a stopped one continues. Exit code 3 if any input was
    quarantined, 2 if nothing could be read or more than --max-quarantined was.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.ingest import ingest as work

    with working():
        name = dataset or settings.data.dataset
        options = dict(settings.ingest.options)
        if boxes is not None:
            options["boxes"] = str(absolute(boxes))
        share = settings.ingest.max_quarantined if max_quarantined is None else max_quarantined
        result = work(
            settings, name, root, out, split or (), options, strict=strict, max_quarantined=share
        )
    report(result, output, hidden=("remarks",))
