"""`wsol serve`: an HTTP endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.common import ConfigOption, SetOption, champion, read_settings
from orchestrator.cli.output import working


def serve(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME@ALIAS",
            help="Also NAME/VERSION or a model's folder; else the settings' champion.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Else serve.host.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(help="Else serve.port.", min=1, max=65535, show_default=False)
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Serve a registered model over HTTP until Ctrl-C."""
    given = {"host": host, "port": port}
    wanted = [f"serve.{key}={value}" for key, value in given.items() if value is not None]
    settings = read_settings(context, config, [*(overrides or ()), *wanted])
    from orchestrator.serve.serve import serve as work

    with working():
        work(settings, model or champion(settings), settings.serve)
