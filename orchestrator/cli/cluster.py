"""`wsol cluster`: start, look at and end the places where jobs run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    SetOption,
    group,
    read_settings,
)
from orchestrator.cli.output import Output, emit, facts_table, make_table, note, plain, working

if TYPE_CHECKING:
    from clusters.base import Cluster, ClusterStatus

app = group("Start, look at and end clusters; jobs are submitted to them.")

ClusterArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME|FILE]",
        help="One of `wsol cluster list`, or a YAML file of your own; else the settings' cluster.",
        show_default=False,
    ),
]


@app.command("list")
def list_clusters(output: OutputOption = Output.TABLE) -> None:
    """Show the clusters that are shipped; those elsewhere are examples and are not asked."""
    from clusters.cluster import cluster_names, load_cluster

    rows = [
        {
            "name": cluster.name,
            "kind": cluster.kind,
            "state": cluster.status().state if cluster.same_machine else None,
            "most": cluster.most(),
            "summary": cluster.summary,
        }
        for cluster in map(load_cluster, cluster_names())
    ]
    emit(rows, output, lambda: make_table(rows[0], [row.values() for row in rows]))


@app.command()
def up(
    context: typer.Context,
    name: ClusterArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start a cluster; nothing happens if it is up."""
    cluster = _cluster(context, name, config, overrides)
    with working():
        cluster.up(note)
    _answer(cluster.status(), output)


@app.command()
def down(
    context: typer.Context,
    name: ClusterArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """End what `up` started, and nothing else; nothing happens if that is gone."""
    cluster = _cluster(context, name, config, overrides)
    with working():
        cluster.down(note)
    _answer(cluster.status(), output)


@app.command()
def status(
    context: typer.Context,
    name: ClusterArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say whether a cluster takes jobs, and what it has.

    Exit code 8 if it does not.
    """
    from clusters.base import State
    from workloads.errors import ClusterError

    found = _cluster(context, name, config, overrides).status()
    _answer(found, output)
    if found.state is not State.UP:
        raise typer.Exit(ClusterError.exit_code)


@app.command()
def manifest(
    context: typer.Context,
    name: ClusterArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print what `up` would apply."""
    texts = _cluster(context, name, config, overrides).manifest()
    if output is Output.JSON:
        emit(texts, output, lambda: facts_table(texts))
    elif not texts:
        note("nothing is applied for this kind of cluster")
    else:  # as it is, to be saved to a file
        typer.echo("".join(texts.values()), nl=False)


def _cluster(context: typer.Context, name: str | None, *settings: Any) -> Cluster:
    from clusters.cluster import load_cluster

    return load_cluster(name or read_settings(context, *settings).cluster)


def _answer(status: ClusterStatus, output: Output) -> None:
    facts = plain(status)
    emit(
        facts, output, lambda: facts_table({k: v for k, v in facts.items() if v not in (None, "")})
    )
