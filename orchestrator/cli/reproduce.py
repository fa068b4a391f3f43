"""`wsol reproduce`: one row of a paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, read_settings
from orchestrator.cli.output import Output, emit, facts_table, make_table, plain, working
from workloads.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from rich.console import RenderableType

SCALES = ("full", "smoke")


def reproduce(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A name from `wsol list recipes`.")],
    data: Annotated[
        str,
        typer.Option(
            metavar="FOLDER", help="The recipe's data set, or 'digits' to make a small one."
        ),
    ],
    scale: Annotated[
        str, typer.Option(help="'full', or 'smoke': the same steps in a minute on digits.")
    ] = "full",
    initial: Annotated[
        list[str] | None,
        typer.Option(metavar="[PART=]SOURCE", help="As for `wsol train`.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Do everything from ingestion to the number, and show it beside the paper's.

    A stopped reproduction continues with its first unfinished stage.
    """
    if scale not in SCALES:
        raise ConfigError(unknown_name("scale", scale, SCALES))
    settings = read_settings(context, config, overrides)
    from orchestrator.pipeline.reproduce import reproduce as work
    from orchestrator.train.initial import parse_initial

    with working():
        result = plain(work(settings, recipe, data, scale, parse_initial(initial or [])))  # type: ignore[arg-type]
    emit(result, output, lambda: _answer(result))


def _answer(result: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    table = make_table(
        ["number (%)", "ours", "interval", "paper", "difference"],
        [
            [line["what"], *(_number(line[k]) for k in ("ours", "interval", "paper", "difference"))]
            for line in result["lines"]
        ],
    )
    facts = {"recipe": result["recipe"], "data": result["data"], "scale": result["scale"]}
    if not result["comparable"]:
        facts["comparable"] = "no: the paper's numbers are those of its own data set"
    differs = [facts_table(result["deviations"])] if result["deviations"] else []
    heading = ["", "not as the paper has it:"] if differs else []
    return Group(
        table, facts_table({**facts, "folder": Path(result["folder"])}), *heading, *differs
    )


def _number(value: Any) -> str | None:
    if isinstance(value, list):
        return " to ".join(f"{end:.2f}" for end in value)
    return None if value is None else f"{value:.2f}"
