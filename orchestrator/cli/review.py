"""`wsol review`: look through an annotation in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, read_settings, report
from orchestrator.cli.output import Output, working


def review(
    context: typer.Context,
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What `wsol annotate` wrote.")],
    images: Annotated[
        Path, typer.Option(metavar="IMAGES", help="What it annotates: a folder, tar files, …")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Else a folder in the workspace.", show_default=False),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Order: uncertain, class, score, or disagreement with --other.",
            show_default="uncertain, or disagreement with --other",
        ),
    ] = None,
    other: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE",
            help="Another model's annotation of these images; its boxes are dashed.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most images; 0 for all.")] = 1000,
    page_size: Annotated[
        int, typer.Option(min=1, help="Images that the browser loads at once.")
    ] = 50,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SCORE",
            help="Class score from which boxes are shown; else the model's threshold.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write pages to judge an annotation on: accept, reject or rename boxes, and export that.

    Open index.html from disk: it needs no network and no server. Exit code 3 if an image could
    not be shown.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.pages.review.review import ReviewOptions
    from orchestrator.pages.review.review import review as work

    with working():
        options = ReviewOptions(by, other, limit, page_size, min_score)
        result = work(settings, store, images, out, options)
    report(result, output)
