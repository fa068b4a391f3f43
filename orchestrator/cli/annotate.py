"""`wsol annotate`: boxes for a collection of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    QuarantinedOption,
    SetOption,
    champion,
    read_settings,
    report,
)
from orchestrator.cli.output import Output, working


def annotate(
    context: typer.Context,
    images: Annotated[
        Path,
        typer.Argument(
            help="A folder, a 'pattern/**/*.jpg', a list (.txt), tar files ('x-{000..063}.tar'), "
            "or Parquet with bytes or paths; also in a bucket."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the annotations go.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME@ALIAS",
            help="Also NAME/VERSION or a model's folder; else the settings' champion.",
            show_default=False,
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="See `wsol list formats`; repeat for more.",
            show_default="coco and parquet",
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Take in new images, and leave out those that are gone."),
    ] = False,
    max_quarantined: QuarantinedOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Annotate a whole image collection with a registered model.

    A stopped annotation continues where it was; a finished one is a no-op, unless --update finds
    new images. Exit code 3 if any image
    was quarantined, 2 if none could be read or more than --max-quarantined were.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.annotate import annotate as work

    with working():
        share = settings.annotate.max_quarantined if max_quarantined is None else max_quarantined
        name = model or champion(settings)
        result = work(
            settings, images, name, out,
            formats=formats, kept=settings.annotate.kept, max_quarantined=share, update=update,
        )  # fmt: skip
    report(result, output)
