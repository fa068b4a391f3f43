"""`wsol sweep`: recipes times data sets times seeds, as a plan says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    SetOption,
    read_settings,
    run_name,
)
from orchestrator.cli.output import Output, emit, facts_table, make_table, note, spread, working

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.config.settings import Settings
    from orchestrator.plans.sweep_plan import PlanResult
    from workloads.comparison.plan import Plan


def sweep(
    context: typer.Context,
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="PLAN",
            help="A YAML file: recipes, data (name: FOLDER of shards), seeds, metrics, budget.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the sweep; else that of the file.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue; of an edited plan, do what is new.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the trials and what they need, and end.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Train recipes on data sets from several seeds, and compare them on the test split.

    Each is measured at its own best cut-offs of the validation split: mean and standard deviation
    over seeds. As many trainings run at once as fit.
    """
    from workloads.comparison.read import read_plan

    settings = read_settings(context, config, overrides)
    read = read_plan(plan)
    called = run_name(name or plan.stem)
    if dry_run:
        rows = _trials(settings, read)
        emit(rows, output, lambda: make_table(rows[0], [row.values() for row in rows]))
        return
    from orchestrator.config.workspace import Workspace
    from orchestrator.plans.sweep_plan import plain_plan_result, sweep_plan

    with working():
        paths = Workspace(settings.workspace).sweep(called)
        result = sweep_plan(settings, read, paths, resume=resume)
    for error in result.errors:
        note(f"wsol: failed: {error}")
    emit(plain_plan_result(result), output, lambda: _answer(read, result))


def _trials(settings: Settings, plan: Plan) -> list[dict[str, Any]]:
    """A row for each trial, in the order in which they begin."""
    from orchestrator.plans.prepare import needs

    found = {(need.training, need.data): need for need in needs(settings, plan)}
    rows = []
    for trial in plan.trials():
        need = found[trial.training, trial.data]
        made = plan.data[trial.data].dataset
        rows.append(
            {
                **trial._asdict(),
                "recipe": need.recipe.name,
                "epochs": need.recipe.train.epochs,
                "cpus": settings.resources.train.cpus_per_worker,
                "made before": ", ".join(
                    [
                        *([f"data set {made}"] if made else []),
                        *(f"model of {name}" for name in need.starts.values()),
                        *(["object proposals"] if need.proposals else []),
                    ]
                ),
            }
        )
    return rows


def _answer(plan: Plan, result: PlanResult) -> RenderableType:
    from rich.console import Group

    metrics = plan.metrics
    rows = [
        [row["data"], row["reading"], row["seeds"], *(spread(row[metric]) for metric in metrics)]
        for row in result.table
    ]
    claims = [
        [c["text"], c["data"], c["metric"], spread(c["better"]), spread(c["than"]),
         f"{c['seeds_for']} of {c['seeds']}", c["holds"]]
        for c in result.claims
    ]  # fmt: skip
    heads = ["claim", "on", "metric", "better", "than", "seeds", "holds"]
    left = f", {result.left} left: time was up (sweep.minutes)" if result.left else ""
    facts = {
        "trials": f"{result.finished} finished, {result.failed} failed{left}",
        "folder": result.folder,
        "report": result.report,
    }
    return Group(
        make_table(["data", "training", "seeds", *metrics], rows),
        *([make_table(heads, claims)] if claims else []),
        facts_table(facts),
    )
