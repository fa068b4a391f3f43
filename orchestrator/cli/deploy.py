"""`wsol deploy`, `wsol deployments`, `wsol undeploy`: endpoints that a cluster goes on running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    FollowOption,
    OutputOption,
    ServedOption,
    SetOption,
    champion,
    read_settings,
)
from orchestrator.cli.output import Output, emit, facts_table, make_table, note, plain, working

if TYPE_CHECKING:
    from orchestrator.serve.deployments import Deployments

ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="NAME|FILE",
        help="A cluster that is up; else the settings' cluster.",
        show_default=False,
    ),
]


def deploy(
    context: typer.Context,
    model: ServedOption = None,
    name: Annotated[str, typer.Option(help="Name of the endpoint; 'wsol' answers at /.")] = "wsol",
    follow: FollowOption = False,
    on: ClusterOption = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to wait.", min=1)] = 300,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start an endpoint on a cluster and leave it running; the same name again changes it."""
    settings = read_settings(context, config, overrides)
    chosen = model or champion(settings)
    with working():
        endpoints = _deployments(on or settings.cluster)
        endpoints.deploy(settings, chosen, name, follow=follow)
        found = endpoints.wait(name, timeout_s, note)
    emit(found, output, lambda: facts_table(plain(found)))


def deployments(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Of this one alone.", show_default=False)
    ] = None,
    on: ClusterOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the endpoints of a cluster and their state."""
    endpoints = _deployments(on or read_settings(context, config, overrides).cluster)
    if name is not None:
        one = endpoints.get(name)
        emit(one, output, lambda: facts_table(plain(one)))
        return
    rows = [plain(one) for one in endpoints.all()]
    columns = ("name", "state", "route", "model", "replicas", "message")
    emit(rows, output, lambda: make_table(columns, [[row[c] for c in columns] for row in rows]))


def undeploy(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name.")] = "wsol",
    on: ClusterOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Take an endpoint away from a cluster; requests that it works on are answered."""
    _deployments(on or read_settings(context, config, overrides).cluster).undeploy(name)
    note(f"wsol: endpoint '{name}' is being taken away")


def _deployments(cluster: str) -> Deployments:
    from clusters.cluster import load_cluster
    from orchestrator.serve.deployments import Deployments

    return Deployments(load_cluster(cluster))
