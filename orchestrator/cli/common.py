"""Options that many verbs share, and how a verb ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.output import Output, emit, facts_table, note, plain
from workloads.artifacts import QUARANTINE
from workloads.errors import EXIT_QUARANTINED, InputRejected

if TYPE_CHECKING:
    from orchestrator.config.settings import Settings


NEEDS_BOXES = "gt_known"
"""The metric that has a case wherever there is a box of a class in the image."""

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help="The settings; else $WSOL_CONFIG, else ./ray_config.yaml.",
        rich_help_panel="Settings",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="One setting instead of the file's; repeat for more.",
        rich_help_panel="Settings",
        show_default=False,
    ),
]
RecipeSetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--recipe-set",
        metavar="KEY.PATH=VALUE",
        help="One key instead of the recipe's, such as train.epochs=5; repeat for more.",
        show_default=False,
    ),
]
QuarantinedOption = Annotated[
    float | None,
    typer.Option(
        "--max-quarantined",
        min=0,
        max=1,
        metavar="SHARE",
        help="Fail if more of the images, 0 to 1, cannot be used; else the settings' share.",
        show_default=False,
    ),
]
ServedOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME@ALIAS",
        help="Also NAME/VERSION or a model's folder; else the settings' champion.",
        show_default=False,
    ),
]
FollowOption = Annotated[
    bool, typer.Option("--follow-champion", help="Roll out what the alias comes to mean.")
]
OutputOption = Annotated[
    Output,
    typer.Option("--output", "-o", help="Form of the answer on stdout.", rich_help_panel="Output"),
]


@dataclass(frozen=True, slots=True)
class Given:
    """Settings options that stood before the verb."""

    config: Path | None = None
    overrides: tuple[str, ...] = ()


def read_settings(
    context: typer.Context, config: Path | None, overrides: list[str] | None
) -> Settings:
    """The settings of a verb; options behind it win over those before it."""
    from orchestrator.config.settings import load_settings

    given = given_before(context)
    return load_settings(config or given.config, (*given.overrides, *(overrides or ())))


def given_before(context: typer.Context) -> Given:
    """Options that stood before the verb."""
    given = context.find_root().obj
    return given if isinstance(given, Given) else Given()


def group(summary: str) -> typer.Typer:
    """A verb with verbs of its own; alone it shows its help."""
    return typer.Typer(help=summary, invoke_without_command=True, callback=show_help)


def show_help(context: typer.Context) -> None:
    """Show the help if no verb was named."""
    if context.invoked_subcommand is None:
        context.get_help()  # Rich prints it
        raise typer.Exit(0)


def report(result: Any, output: Output, hidden: tuple[str, ...] = ()) -> None:
    """Answer with a result (a dataclass); `hidden` fields are too long for a table.

    Raises:
        typer.Exit: code 3, if some inputs were quarantined.
    """
    facts = plain(result)
    shown = {name: value for name, value in facts.items() if name not in hidden}
    note_remarks(facts)
    emit(facts, output, lambda: facts_table(shown))
    exit_if_quarantined(facts)


def note_remarks(facts: dict[str, Any]) -> None:
    """Say the `remarks` of a result as JSON, if it has some: what should be known, each once."""
    for text, count in (facts.get("remarks") or {}).items():
        note(f"wsol: {text} ({count} {'time' if count == 1 else 'times'})")


def exit_if_quarantined(facts: dict[str, Any]) -> None:
    """Say how many inputs were quarantined and where the list is, and end with code 3.

    Args:
        facts: a result as JSON; its lists stand in `quarantine_lists`, or as `quarantine.jsonl`
            in its `folder` or `out`.

    Raises:
        InputRejected: nothing could be read.
        typer.Exit: code 3, if some inputs were quarantined.
    """
    count = facts.get("quarantined") or 0
    if count:
        folder = facts.get("folder") or facts.get("out") or "."
        lists = facts.get("quarantine_lists") or [str(Path(folder) / QUARANTINE)]
        if facts.get("read") == 0:
            raise InputRejected(
                f"none of {facts['listed']} inputs could be read; mend them as their reasons say "
                f"({', '.join(lists)}), or give others"
            )
        what = "input was" if count == 1 else "inputs were"
        note(f"wsol: {count} {what} quarantined, the rest is done; reasons: {', '.join(lists)}")
        raise typer.Exit(EXIT_QUARANTINED)


def note_unmeasured(names: Sequence[str]) -> None:
    """Say in one line which metrics had no case, and whether boxes are what they lacked."""
    if names:
        why = " (the split has no boxes)" if NEEDS_BOXES in names else ""
        note(f"nothing to count for: {', '.join(names)}{why}")


def run_name(text: str) -> str:
    """The name of a run, which is a folder too.

    Raises:
        ConfigError: it has other characters than letters, digits, dot, dash and underscore.
    """
    from orchestrator.config.settings import Pipeline

    return Pipeline.parse({"name": text}, "run").name


def champion(settings: Settings) -> str:
    """The model that the settings call the champion."""
    return f"{settings.registry.model}@{settings.registry.alias}"
