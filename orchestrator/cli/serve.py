"""`wsol serve`: an HTTP endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    FollowOption,
    ServedOption,
    SetOption,
    champion,
    read_settings,
)
from orchestrator.cli.output import note, working


def serve(
    context: typer.Context,
    model: ServedOption = None,
    host: Annotated[str | None, typer.Option(help="Else serve.host.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(help="Else serve.port.", min=1, max=65535, show_default=False)
    ] = None,
    follow: FollowOption = False,
    build: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Serve nothing; write Serve's configuration and KubeRay's RayService there.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Serve registered models over HTTP until Ctrl-C: a page for people, an API for programs."""
    given = {"host": host, "port": port}
    wanted = [f"serve.{key}={value}" for key, value in given.items() if value is not None]
    wanted = [*(overrides or ()), *wanted]
    settings = read_settings(context, config, wanted)
    chosen = model or champion(settings)
    if build is not None:
        from orchestrator.serve.configuration import write_configuration

        with working():
            for file in write_configuration(build, chosen, wanted, follow=follow):
                note(f"wsol: {file}")
        return
    from orchestrator.serve.serve import serve as work

    with working():
        work(settings, chosen, settings.serve, follow=follow)
