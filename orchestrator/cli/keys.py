"""`wsol keys`: API keys of the endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, group, read_settings
from orchestrator.cli.output import Output, emit, facts_table, make_table, note

app = group("API keys of the endpoint: add, list, revoke.")
FileOption = Annotated[
    Path | None,
    typer.Option("--file", metavar="PATH", help="Else serve.keys_file.", show_default=False),
]
_COLUMNS = ("id", "name", "created")


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who gets the key.")],
    file: FileOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a key and show it, this once; the file keeps its hash alone."""
    from orchestrator.serve.api.guard.keys import new_key, read_keys, write_keys

    path = _path(context, file, config, overrides)
    known = read_keys(path) if path.exists() else []
    key, entry = new_key(name)
    write_keys(path, [*known, entry])
    facts = {"id": entry.id, "name": entry.name, "created": entry.created, "key": key}
    emit(facts, output, lambda: facts_table(facts))
    note(f"wsol: added to {path}; the key is shown this once")


@app.command("list")
def list_keys(
    context: typer.Context,
    file: FileOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show who has keys."""
    from orchestrator.serve.api.guard.keys import read_keys

    keys = read_keys(_path(context, file, config, overrides))
    rows = [key.model_dump(include=set(_COLUMNS)) for key in keys]
    emit(rows, output, lambda: make_table(_COLUMNS, [[row[c] for c in _COLUMNS] for row in rows]))


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Of `wsol keys list`.")],
    file: FileOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Take a key back; running endpoints refuse it from their next request on."""
    from orchestrator.serve.api.guard.keys import read_keys, write_keys
    from workloads.errors import NotFound, unknown_name

    path = _path(context, file, config, overrides)
    keys = read_keys(path)
    left = [key for key in keys if key.id != key_id]
    if len(left) == len(keys):
        raise NotFound(unknown_name("key", key_id, [key.id for key in keys]))
    write_keys(path, left)
    note(f"wsol: key '{key_id}' is revoked")


def _path(context: typer.Context, file: Path | None, config: Any, overrides: Any) -> Path:
    from workloads.errors import ConfigError

    path = file or read_settings(context, config, overrides).serve.keys_file
    if path is None:
        raise ConfigError("no file of keys: serve.keys_file is null; set it, or give --file PATH")
    return path.expanduser()
