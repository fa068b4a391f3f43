"""`wsol submit`: an ordinary command line, run as a job on a cluster."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, given_before
from orchestrator.cli.output import Output, emit, facts_table, note

if TYPE_CHECKING:
    from clusters.base import Cluster
    from orchestrator.config.settings import Settings
    from orchestrator.jobs.command import Command
    from orchestrator.jobs.recipes import OwnRecipe
    from orchestrator.jobs.record import Record
    from workloads.recipes.schema import Recipe

_SETTINGS = {"--config", "--set", "--output", "-o"}  # what the job is given in another way


def submit(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="-- VERB ARGS...", help="A command line without its `wsol`."),
    ],
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Where it runs; else the settings'.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the job, used once; else verb and time.", show_default=False),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="Further attempts after lost infrastructure.")
    ] = 2,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="HOURS", help="End it after so long.", show_default=False),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Come back when it is over, with its exit code.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="The same, showing its log; Ctrl-C only detaches.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the exact request as JSON, and do nothing.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the job's name alone.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a verb as a job on a cluster: it goes on when you leave, and its record stays.

    Results are those of the verb run here. See `wsol jobs`, and `wsol cluster up local` for a queue
    on this machine.
    """
    from clusters.cluster import load_cluster
    from orchestrator.cli.jobs import end_with, printer, watch
    from orchestrator.jobs import submit as jobs

    _check_limit(time_limit)
    command = parse_command(context, words, config, overrides)
    place = load_cluster(cluster or command.settings.cluster)
    down = _why_down(place) if dry_run else None
    api = None if down else connect(place)
    plan = jobs.plan(
        command,
        place,
        jobs.default_name(command) if name is None else name,
        retries=retries,
        time_limit_s=None if time_limit is None else time_limit * 3600,
        api=api,
    )
    if dry_run or api is None:
        if down:
            note(f"wsol: {down}; shown is what would be asked of it")
        typer.echo(jobs.request_text(plan))
        return
    record = jobs.submit(plan, api)
    job = jobs.jobs_of(command.settings).job(record.name)
    if wait or follow:
        note(f"job '{record.name}' on cluster '{place.given}'")
        end_with(watch(job, show=printer() if follow else None), output)
        return
    _answer(record, place, quiet, output)


def _check_limit(hours: float | None) -> None:
    from workloads.errors import ConfigError

    if hours is not None and not 0 < hours < math.inf:
        raise ConfigError(f"--time-limit {hours:g}: must be above 0 hours; leave it out for none")


def _why_down(cluster: Cluster) -> str | None:
    """Why a cluster cannot be asked; None if it can, though it may not answer."""
    from workloads.errors import ClusterError

    try:
        cluster.submit_address()
    except ClusterError as error:
        return str(error)
    return None


def connect(cluster: Cluster) -> Any:
    """The jobs API of a cluster.

    Raises:
        ClusterError: it is not up, does not answer or refuses the token.
    """
    from orchestrator.jobs.ray_jobs import RayJobs

    return RayJobs(cluster.submit_address(), cluster.token(), cluster.given)


def parse_command(
    context: typer.Context,
    words: list[str],
    config: Path | None = None,
    overrides: list[str] | None = None,
) -> Command:
    """The words of a job, checked as its verb checks them.

    Settings may stand before and behind the `--`; the last ones win.

    Raises:
        ConfigError: a verb that is no job, or a recipe that is none.
        typer.TyperException: words that the verb refuses.
    """
    from orchestrator.config.settings import load_settings
    from orchestrator.jobs.command import VERBS, Command
    from orchestrator.jobs.recipes import starts_of
    from workloads.errors import ConfigError, unknown_name

    group = context.find_root().command
    top = group.make_context("wsol", list(words), resilient_parsing=False)
    verb, command, rest = group.resolve_command(top, [*top._protected_args, *top.args])  # type: ignore[attr-defined]
    if verb not in VERBS:
        raise ConfigError(f"submit: {unknown_name('verb', str(verb), VERBS)}")
    inner = command.make_context(verb, list(rest), parent=top)
    params = inner.params
    before, inside = given_before(context), given_before(inner)
    settings = load_settings(
        params["config"] or inside.config or config or before.config,
        (
            *before.overrides,
            *(overrides or ()),
            *inside.overrides,
            *(params["overrides"] or ()),
        ),
    )
    kept = (verb, *_without_settings(rest), "-o", "json")
    recipes, own = _recipes(verb, kept, params, settings)
    other = ("config", "overrides", "output", "recipe")
    values = [v for k, v in params.items() if k not in other]
    values += _places_in(params["plan"]) if verb == "sweep" else []
    return Command(
        verb=verb,
        words=kept,
        settings=settings,
        resumes="resume" in params,
        places=_places([*values, *starts_of(recipes)]),
        recipes=own,
    )


def _without_settings(words: list[str]) -> list[str]:
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _SETTINGS:
            next(rest, None)
        elif word.partition("=")[0] not in _SETTINGS:
            kept.append(word)
    return kept


def _places(values: list[Any]) -> dict[str, Path]:
    """Files and folders among the values of a verb; of texts those that are there."""
    found: dict[str, Path] = {}
    for value in values:
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Path):
                found[str(one)] = one
            elif isinstance(one, str):
                path = Path(one.rpartition("=")[2])
                if _is_here(path):
                    found[one] = path
    return found


def _places_in(plan: Path) -> list[Path]:
    from workloads.comparison.read import places, read_plan

    return places(read_plan(plan))


def _is_here(path: Path) -> bool:
    """Whether a text is a place: a file, or a folder with a slash in its name."""
    try:
        return path.is_file() or ("/" in str(path) and path.exists())
    except OSError:  # too long for a name
        return False


def _recipes(
    verb: str, words: tuple[str, ...], params: dict[str, Any], settings: Settings
) -> tuple[list[Recipe], tuple[OwnRecipe, ...]]:
    """The recipes that a verb trains, and the files of the user's own among them."""
    from orchestrator.jobs.recipes import chosen_recipes
    from workloads.errors import ConfigError

    given = params.get("recipe")
    names = settings.pipeline.recipes if verb == "run" else () if given is None else (given,)
    changes = params.get("recipe_set") or (settings.pipeline.recipe_set if verb == "run" else ())
    recipes, own = chosen_recipes(names, changes)
    twice = next((one.given for one in own if words.count(one.given) > 1), None)
    if twice:
        raise ConfigError(f"submit: '{twice}' is a recipe, and something else, too; rename it")
    return recipes, own


def _answer(record: Record, cluster: Cluster, quiet: bool, output: Output) -> None:
    from orchestrator.cli.jobs import as_typed

    if quiet:
        typer.echo(record.name)
        return
    facts = {
        "job": record.name,
        "state": record.state.value,
        "cluster": cluster.given,
        "command": "wsol " + " ".join(as_typed(record.request)),
        "code_sent": record.code_sent,
        "follow": f"wsol jobs logs -f {record.name}",
    }
    emit(facts, output, lambda: facts_table(facts))
