"""`wsol import`: a published classifier as a model version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import OutputOption, report
from orchestrator.cli.output import Output, working


def import_classifier(
    network: Annotated[
        str, typer.Argument(help="torchvision:MODEL or torchvision:MODEL:WEIGHTS, of ImageNet.")
    ],
    method: Annotated[str, typer.Option(help="A method that explains whole networks.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The model version to be.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A state dict; else torchvision's published file in torch's folder.",
            show_default=False,
        ),
    ] = None,
    shards: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="What it will be used on: its classes are checked and their names taken.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a model version of a torchvision classifier, without any training.

    It then evaluates, annotates and serves as any other; its maps are those of the method.
    """
    from workloads.models.published import import_classifier as work

    with working():
        result = work(network, method, out, weights, shards)
    report(result, output)
