"""`wsol bench`: measurements of speed, each against a baseline."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.common import OutputOption
from orchestrator.cli.output import Output, emit, facts_table, make_table, note, working


def bench(
    name: Annotated[
        str | None, typer.Argument(help="A name from `wsol list benchmarks`; without it: names.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a benchmark; `ratio` above 1 means faster than its baseline."""
    from orchestrator.catalogue import benchmarks

    if name is None:
        entries = [entry.as_json() for entry in benchmarks()]
        emit(entries, output, lambda: make_table(["name", "what"], [e.values() for e in entries]))
        return
    from orchestrator.benchmarks import BENCHMARKS

    measure = BENCHMARKS[name]
    note(f"bench {name} ...")
    with working():
        result = {"name": name, **measure()}
    emit(result, output, lambda: facts_table(result))
