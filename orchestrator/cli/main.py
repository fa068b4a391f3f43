"""The command line `wsol`: one file per verb, each thin over a function of the orchestrator.

This package imports nothing heavy, so that `wsol --help` answers at once: verbs import what
they call inside their functions.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import (
    annotate,
    bench,
    cluster,
    config,
    data,
    deploy,
    detect,
    doctor,
    evaluate,
    export,
    importing,
    ingest,
    jobs,
    keys,
    listing,
    promote,
    proposals,
    register,
    reproduce,
    review,
    run,
    serve,
    streams,
    submit,
    sweep,
    sync,
    train,
    tune,
)
from orchestrator.cli.common import Given, show_help
from orchestrator.cli.errors import explain
from orchestrator.cli.output import EXIT_BROKEN_PIPE, silence_stdout
from workloads.errors import EXIT_INTERRUPTED

DEBUG_VARIABLE = "WSOL_DEBUG"

app = typer.Typer(
    name="wsol",
    help="Weakly supervised object localization on Ray.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 done but some inputs "
    "were quarantined, 4 not found, 5 name taken or not better, 6 files damaged, 7 resource "
    "missing, 8 cluster unreachable, 10 job stopped, 11 not done in time, 130 interrupted.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ALL, _STEPS, _MODELS = "All at once", "Step by step", "Models at work"
_CLUSTERS, _SETUP = "On a cluster", "Looking around"
app.command("run", rich_help_panel=_ALL)(run.run)
app.command("reproduce", rich_help_panel=_ALL)(reproduce.reproduce)
app.command("ingest", rich_help_panel=_STEPS)(ingest.ingest)
app.command("proposals", rich_help_panel=_STEPS)(proposals.proposals)
app.command("train", rich_help_panel=_STEPS)(train.train)
app.command("evaluate", rich_help_panel=_STEPS)(evaluate.evaluate)
app.command("tune", rich_help_panel=_STEPS)(tune.tune)
app.command("sweep", rich_help_panel=_STEPS)(sweep.sweep)
app.command("register", rich_help_panel=_STEPS)(register.register)
app.command("promote", rich_help_panel=_MODELS)(promote.promote)
app.command("import", rich_help_panel=_MODELS)(importing.import_classifier)
app.command("annotate", rich_help_panel=_MODELS)(annotate.annotate)
app.command("export", rich_help_panel=_MODELS)(export.export)
app.command("review", rich_help_panel=_MODELS)(review.review)
app.command("serve", rich_help_panel=_MODELS)(serve.serve)
app.command("deploy", rich_help_panel=_MODELS)(deploy.deploy)
app.command("deployments", rich_help_panel=_MODELS)(deploy.deployments)
app.command("undeploy", rich_help_panel=_MODELS)(deploy.undeploy)
app.command("detect", rich_help_panel=_MODELS)(detect.detect)
app.add_typer(keys.app, name="keys", rich_help_panel=_MODELS)
app.command("sync", rich_help_panel=_MODELS)(sync.sync)
app.command("submit", rich_help_panel=_CLUSTERS)(submit.submit)
app.add_typer(jobs.app, name="jobs", rich_help_panel=_CLUSTERS)
app.add_typer(cluster.app, name="cluster", rich_help_panel=_CLUSTERS)
app.command("list", rich_help_panel=_SETUP)(listing.list_names)
app.add_typer(config.app, name="config", rich_help_panel=_SETUP)
app.add_typer(data.app, name="data", rich_help_panel=_SETUP)
app.command("doctor", rich_help_panel=_SETUP)(doctor.doctor)
app.command("bench", rich_help_panel=_SETUP)(bench.bench)


def _version(wanted: bool) -> None:
    if wanted:
        from orchestrator.provenance import version

        typer.echo(f"wsol {version()}")
        raise typer.Exit(0)


@app.callback()
def wsol(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="PATH", help="The settings of the verb.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="One setting; repeat for more."),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; also WSOL_DEBUG=1, also at the end.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Weakly supervised object localization on Ray."""
    context.obj = Given(config, tuple(overrides or ()))
    show_help(context)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error becomes one line on stderr and an exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    words, debug = split_debug(given)
    sys.exit(_run(words, debug or os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0")))


def split_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without `--debug`, wherever it stands before a `--`, and whether it did."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    words = [word for word in arguments[:end] if word != "--debug"]
    return [*words, *arguments[end:]], len(words) < end


def _run(words: list[str], debug: bool) -> int:
    try:
        streams.prepare()
        code = app(words, prog_name="wsol", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return EXIT_BROKEN_PIPE
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        return _fail(error, debug)
    if code == EXIT_INTERRUPTED:  # typer has turned Ctrl-C into an exit
        sys.stderr.write("wsol: interrupted\n")
    return code if isinstance(code, int) else 0


def _fail(error: BaseException, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    failure = explain(error)
    if failure.message:
        sys.stderr.write(f"wsol: {failure.message}\n")
    return failure.exit_code
