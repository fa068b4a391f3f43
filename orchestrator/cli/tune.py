"""`wsol tune`: the cut-offs of a trained run."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    SetOption,
    read_settings,
    report,
    run_name,
)
from orchestrator.cli.output import Output, note, working


def tune(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A finished run of `wsol train`.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Search cut-off, co-occurrence weight and score threshold on stored validation maps.

    No network runs; the tuned model is written beside the trained one.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.config.workspace import Workspace
    from orchestrator.tune.tune import tune_run

    with working():
        paths = Workspace(settings.workspace).run(run_name(run))
        result = tune_run(settings, paths, settings.tune, settings.evaluate)
    if result.unmeasured:
        names = ", ".join(result.unmeasured)
        note(f"not measured: {names} (no boxes in the split); the recipe's cut-offs are kept")
    report(result, output, hidden=("trials", "curve", "class_cutoffs", "unmeasured"))
