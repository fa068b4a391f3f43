"""`wsol export`: an annotation in other formats, with other boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import OutputOption, report
from orchestrator.cli.output import Output, working


def export(
    store: Annotated[Path, typer.Argument(help="A folder that wsol annotate finished.")],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="See `wsol list formats`; repeat for more.",
            show_default="coco and parquet",
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="Class score from which boxes are shown; else the review's, else the model's.",
            show_default=False,
        ),
    ] = None,
    cutoff: Annotated[
        float | None,
        typer.Option(
            metavar="CUTOFF",
            help="Another cut-off of the maps, 0 to 1, if they were kept; else the model's.",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="A class to show, repeat for more; else all.",
            show_default=False,
        ),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Decisions of people, as the review page saves them.",
            show_default=False,
        ),
    ] = None,
    reviewed_only: Annotated[
        bool, typer.Option("--reviewed-only", help="Leave out boxes and images that nobody judged.")
    ] = False,
    images: Annotated[
        str,
        typer.Option(
            metavar="PREFIX",
            help="Written before file names: a folder or an address; else they stand alone.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to; else STORE-export.", show_default=False),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write a finished annotation in other formats, without the model and the images.

    The annotation is left as it is. Boxes of any score that was kept can be shown; another cut-off
    needs maps, which `wsol annotate --set annotate.maps=true` keeps.
    """
    from workloads.annotation.export import export_annotation

    with working():
        result = export_annotation(
            store, out, formats,
            min_score=min_score, cutoff=cutoff, names=classes or (),
            review=review, reviewed_only=reviewed_only, images=images,
        )  # fmt: skip
    report(result, output)
