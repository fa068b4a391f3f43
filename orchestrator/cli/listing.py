"""`wsol list`: names for settings and arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.text import Text

from orchestrator.cli.common import OutputOption
from orchestrator.cli.output import Output, emit, make_table, working
from workloads.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.listing import Entry


RECIPES = "recipes"


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="methods, backbones, datasets, metrics, formats, recipes, clusters or "
            "benchmarks; without it: the kinds.",
        ),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of recipes: one as a whole file, to start an own one from.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what can be named: methods, data sets, recipes and so on, with their options."""
    from orchestrator.listing import KINDS, recipe_file

    if show is not None:
        if kind != RECIPES:
            raise ConfigError(f"--show shows recipes; write: wsol list {RECIPES} --show {show}")
        values = recipe_file(show)
        emit(values, output, lambda: Text(as_yaml(values), no_wrap=True, overflow="ignore"))
        return
    if kind is None:
        rows = [{"name": name, "summary": known.summary} for name, known in KINDS.items()]
        emit(rows, output, lambda: make_table(["kind", "what"], [r.values() for r in rows]))
        return
    if kind not in KINDS:
        raise ConfigError(unknown_name("kind", kind, KINDS))
    with working():
        entries = KINDS[kind].entries()
    emit([e.as_json() for e in entries], output, lambda: _table(entries, KINDS[kind].shown))


def as_yaml(values: dict[str, Any]) -> str:
    """Keys and values as a file that can be read again."""
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10**6).rstrip()


def _table(entries: list[Entry], shown: tuple[str, ...]) -> Table:
    if shown:
        rows = [[e.name, *(_brief(e.facts[k]) for k in shown)] for e in entries]
        return make_table(["name", *(k.replace("_", " ") for k in shown)], rows)
    # What no entry has would be a column of dashes.
    facts = [k for k in (entries[0].facts if entries else {}) if any(e.facts[k] for e in entries)]
    rows = [[e.name, *(_brief(e.facts[k]) for k in facts), e.summary] for e in entries]
    return make_table(["name", *(k.replace("_", " ") for k in facts), "summary"], rows)


def _brief(value: Any) -> Any:
    """Presets by name, options with their defaults; everything is in `-o json`."""
    match value:
        case dict() if value and all(_is_space(v) for v in value.values()):
            return [name for space in value.values() for name in space["parameters"]]
        case dict() if value and all(isinstance(v, dict) for v in value.values()):
            return list(value)
        case list() if value and all(isinstance(v, dict) for v in value):
            return {v["name"]: v["default"] for v in value}
    return value


def _is_space(value: Any) -> bool:
    return isinstance(value, dict) and "parameters" in value
