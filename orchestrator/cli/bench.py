"""`wsol bench`: measurements of speed, each against a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import OutputOption
from orchestrator.cli.output import (
    Output,
    emit,
    facts_table,
    make_table,
    note,
    plain,
    spread,
    working,
)
from workloads.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType


def bench(
    name: Annotated[
        str | None, typer.Argument(help="A name from `wsol list benchmarks`; without it: names.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="As little as shows that it runs.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="As much as the documentation's numbers were taken from.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a benchmark; `ratio` above 1 means faster than its baseline.

    It takes less than a minute, on a busy machine too, unless `wsol list benchmarks` calls it a
    campaign. A campaign goes on where it was stopped.
    """
    from orchestrator.listing import benchmarks

    if name is None:
        entries = [entry.as_json() for entry in benchmarks()]
        emit(entries, output, lambda: make_table(["name", "what"], [e.values() for e in entries]))
        return
    from orchestrator.benchmarks.registry import BENCHMARKS

    if quick and full:
        raise ConfigError("--quick and --full are two extents; give one of them")
    measure = BENCHMARKS[name]
    note(f"bench {name} ...")
    with working():
        result = {"name": name, **measure("quick" if quick else "full" if full else "usual")}
    emit(result, output, lambda: _answer(plain(result)))


def _answer(result: dict[str, Any]) -> RenderableType:
    """Facts, and below them what is a table."""
    from rich.console import Group

    tables = {name: value for name, value in result.items() if _is_table(value)}
    facts = {name: value for name, value in result.items() if name not in tables}
    drawn = [
        make_table(rows[0], [map(_cell, row.values()) for row in rows]) for rows in tables.values()
    ]
    return Group(facts_table(facts), *drawn)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _cell(value: object) -> object:
    """A value over seeds as people write it."""
    return spread(value) if isinstance(value, dict) and "mean" in value else value
