"""`wsol doctor`: checks of this machine and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, given_before
from orchestrator.cli.detect import KeyOption
from orchestrator.cli.output import Output, emit, make_table, plain
from workloads.errors import ResourceError

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Check a running endpoint instead.", show_default=False),
    ] = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check this machine and the settings, and say what to do about each problem.

    Exit code 7 if something that is needed is missing.
    """
    from orchestrator.doctor import examine, examine_endpoint

    given = given_before(context)
    changes = (*given.overrides, *(overrides or ()))
    checks = examine_endpoint(url, key) if url else examine(config or given.config, changes)
    missing = [check.name for check in checks if check.status == "fail"]
    value = {"ok": not missing, "checks": plain(checks)}
    emit(value, output, lambda: _table(value["checks"]))
    if missing:
        raise typer.Exit(ResourceError.exit_code)


def _table(checks: list[dict[str, Any]]) -> Table:
    table = make_table(
        ["check", "status", "found", "what to do"],
        [[c["name"], c["status"], c["detail"], c["fix"] or ""] for c in checks],
    )
    for row, check in zip(table.rows, checks, strict=True):
        row.style = "" if check["status"] == "ok" else _STYLES[check["status"]]
    return table
