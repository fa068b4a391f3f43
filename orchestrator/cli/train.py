"""`wsol train`: one recipe on shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    RecipeSetOption,
    SetOption,
    read_settings,
    report,
    run_name,
)
from orchestrator.cli.output import Output, working


def train(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Argument(help="A name from `wsol list recipes`, or a file of your own.")
    ],
    shards: Annotated[Path, typer.Option(metavar="FOLDER", help="What `wsol ingest` wrote.")],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run; else the recipe's name.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished run.")] = False,
    recipe_set: RecipeSetOption = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead of the recipe's.", show_default=False)
    ] = None,
    initial: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PART=]SOURCE",
            help="What the backbone, or another pretrained part, starts from: a model's folder, a "
            "weights file, 'imagenet' (torchvision's file in torch's folder) or 'random'.",
            show_default=False,
        ),
    ] = None,
    proposals: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="What `wsol proposals` wrote, for methods that learn from it.",
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
    from orchestrator.config.workspace import Workspace
    from orchestrator.train.initial import parse_initial
    from orchestrator.train.spec import make_spec
    from orchestrator.train.train import train as work
    from workloads.proposals.proposals import Proposals
    from workloads.recipes.load import load_recipe
    from workloads.recipes.own import recipe_name
    from workloads.shards.shards import Shards

    paths = Workspace(settings.workspace).run(run_name(name or recipe_name(recipe)))
    chosen = load_recipe(recipe, recipe_set) if recipe_set else recipe
    with working():
        spec = make_spec(
            settings,
            chosen,
            Shards.open(shards),
            (settings.data.train_split, settings.data.val_split),
            epochs=epochs or settings.train.epochs,
            initial=parse_initial(initial or []),
            proposals=Proposals.open(proposals) if proposals else None,
        )
        result = work(settings, spec, paths, resume=resume)
    report(result, output)
