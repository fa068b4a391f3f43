"""`wsol tune`: the cut-offs of a trained run, or the training parameters of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    RecipeSetOption,
    SetOption,
    read_settings,
    report,
    run_name,
)
from orchestrator.cli.output import Output, emit, facts_table, make_table, note, working

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.config.settings import Settings
    from orchestrator.sweep.sweep import SweepResult
    from workloads.methods.base import SearchSpace
    from workloads.recipes.schema import Recipe

SHOWN_ON_TEST = ("box_f1", "gt_known", "max_box_acc_v2", "pointing", "classification_map")


def tune(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            help="A finished run of `wsol train`; with --shards a recipe (a name, a file) or a "
            "method, for which the data set's own recipe is taken."
        ),
    ],
    shards: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Search training parameters, by trainings on what `wsol ingest` wrote.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the sweep; else the recipe's name.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a sweep, with more trials if you like.")
    ] = False,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Instead of sweep.trials.", show_default=False)
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A YAML file that narrows, widens, fixes or adds parameters.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Search these training parameters alone, such as '*_low'; repeat for more.",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="wsol30: 30 random trials judged by MaxBoxAccV2, the last weights, one look at "
            "the test split.",
            show_default=False,
        ),
    ] = None,
    show_space: Annotated[
        bool, typer.Option("--show-space", help="Show what would be searched, and end.")
    ] = False,
    recipe_set: RecipeSetOption = None,
    initial: Annotated[
        list[str] | None,
        typer.Option(metavar="[PART=]SOURCE", help="As for `wsol train`.", show_default=False),
    ] = None,
    proposals: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="As for `wsol train`.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Search cut-offs on stored validation maps, or training parameters by whole trainings.

    Of a run no network is trained; the tuned model is written beside it. With --shards each trial
    is a training, judged on the validation split at its own best cut-offs, the recipe's own
    parameters first.
    """
    given = (*(overrides or ()), *([f"sweep.trials={trials}"] if trials else ()))
    settings = read_settings(context, config, list(given))
    if shards is None and not show_space:
        _tune_run(settings, target, output)
        return
    from orchestrator.sweep.recipe_of import recipe_of
    from workloads.recipes.space import read_changes, recipe_space

    recipe = recipe_of(target, settings.data.dataset, recipe_set or ())
    changes = read_changes(space) if space else {}
    if show_space:
        found = recipe_space(recipe, changes, only or ())
        emit(_described(found), output, lambda: _space_table(recipe, found))
        return
    from orchestrator.config.workspace import Workspace
    from orchestrator.sweep.spec import make_sweep
    from orchestrator.sweep.sweep import plain_result, sweep
    from orchestrator.train.initial import parse_initial
    from workloads.proposals.proposals import Proposals
    from workloads.shards.shards import Shards

    assert shards is not None
    with working():
        spec, suggestions = make_sweep(
            settings,
            recipe,
            Shards.open(shards),
            changes=changes,
            only=only or (),
            protocol=protocol,
            initial=parse_initial(initial or []),
            proposals=Proposals.open(proposals) if proposals else None,
        )
        paths = Workspace(settings.workspace).sweep(run_name(name or recipe.name))
        result = sweep(settings, spec, suggestions, paths, resume=resume)
    emit(plain_result(result), output, lambda: _result_table(result))


def _tune_run(settings: Settings, run: str, output: Output) -> None:
    from orchestrator.config.workspace import Workspace
    from orchestrator.sweep.recipe_of import is_recipe
    from orchestrator.tune.tune import tune_run
    from workloads.artifacts import exists
    from workloads.errors import ConfigError

    with working():
        paths = Workspace(settings.workspace).run(run_name(run))
        if not exists(paths.spec) and is_recipe(run):
            raise ConfigError(
                f"no run '{run}'; to search training parameters of that recipe or method give "
                "--shards FOLDER, to see them --show-space"
            )
        result = tune_run(settings, paths, settings.tune, settings.evaluate)
    if result.unmeasured:
        names = ", ".join(result.unmeasured)
        note(f"not measured: {names} (no boxes in the split); the recipe's cut-offs are kept")
    report(result, output, hidden=("trials", "curve", "class_cutoffs", "unmeasured", "by_rules"))


def _described(space: SearchSpace) -> dict[str, Any]:
    return {tier: one.describe() for tier, one in space._asdict().items()}


def _space_table(recipe: Recipe, space: SearchSpace) -> Table:
    from workloads.recipes.space import own_values
    from workloads.space import Range

    own, rows = own_values(recipe), []
    for tier, one in space._asdict().items():
        for name, parameter in one.items():
            if not isinstance(parameter, Range):
                kind, values = "choice", ", ".join(map(str, parameter.values))
            elif parameter.low == parameter.high:
                kind, values = "fixed", f"{parameter.low:g}"
            else:
                kind = f"{parameter.scale}{', whole numbers' if parameter.integer else ''}"
                values = f"{parameter.low:g} to {parameter.high:g}"
            rows.append([name, values, kind, str(own.get(name, "")), tier.replace("_", " ")])
        for constraint in one.constraints:
            rows.append([str(constraint), "", "constraint", "", tier.replace("_", " ")])
    return make_table(["parameter", "values", "scale", f"in {recipe.name}", "costs"], rows)


def _result_table(result: SweepResult) -> Table:
    facts: dict[str, Any] = {
        "best trial": result.best,
        f"{result.metric} (val)": f"{result.value:.4f}",
        **{name: _short(value) for name, value in result.values.items()},
        "trials": f"{result.finished} finished, {result.failed} failed, {result.stopped} stopped",
    }
    for number, metrics in result.test.items():
        who = "recipe's own" if int(number) == result.start else "best"
        for name in SHOWN_ON_TEST:
            if metrics.get(name, {}).get("value") is not None:
                facts[f"{name} (test, {who}, trial {number})"] = _with_interval(metrics[name])
    facts |= {"version": result.version or "", "model": result.model, "report": result.report}
    return facts_table(facts)


def _with_interval(metric: dict[str, Any]) -> str:
    interval = metric["interval"]
    ends = f"  [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
    return f"{metric['value']:.4f}{ends}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
