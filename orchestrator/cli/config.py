"""`wsol config`: look at the settings and check them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    SetOption,
    given_before,
    group,
    read_settings,
)
from orchestrator.cli.output import Output, emit, facts_table
from workloads.storage.addresses import with_slashes

if TYPE_CHECKING:
    from orchestrator.config.settings import Settings

app = group("Show, check and describe the settings.")


class Form(StrEnum):
    """The form of the effective settings."""

    YAML = "yaml"
    JSON = "json"


@app.command()
def show(
    context: typer.Context,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="Form on stdout.")] = Form.YAML,
) -> None:
    """Print the effective settings: file, overrides and defaults together."""
    import yaml

    values = read_settings(context, config, overrides).model_dump(mode="json")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    emit(
        values,
        Output(output) if output == Form.JSON else Output.TABLE,
        lambda: with_slashes(text.rstrip()),
    )


@app.command()
def validate(
    context: typer.Context,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check the settings: keys, values, and every name that they use."""
    from orchestrator.config.names import check_names
    from orchestrator.config.settings import settings_file

    settings = read_settings(context, config, overrides)
    check_names(settings)
    file = settings_file(config or given_before(context).config)
    facts = {"file": file, "valid": True, **_names(settings)}
    emit(facts, output, lambda: facts_table({**facts, "file": file or "none; the defaults"}))


@app.command()
def schema() -> None:
    """Print the JSON Schema of ray_config.yaml, for editors."""
    from orchestrator.config.settings import Settings

    typer.echo(json.dumps(Settings.model_json_schema(), indent=2))


def _names(settings: Settings) -> dict[str, Any]:
    return {
        "cluster": settings.cluster,
        "dataset": settings.data.dataset,
        "recipes": list(settings.pipeline.recipes),
        "workspace": Path(settings.workspace),
    }
