"""`wsol tune RECIPE`: the best training parameters of a recipe, by whole trainings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import SweepPaths
from orchestrator.engine.claims import Verb, claim
from orchestrator.engine.connect import connect, is_inline
from orchestrator.engine.progress import say
from orchestrator.evaluate import evaluate
from orchestrator.sweep.queue import Points, TrialQueue
from orchestrator.sweep.report import report_sweep
from orchestrator.sweep.spec import SweepSpec
from orchestrator.sweep.tracked import tracked, trial_uid
from orchestrator.sweep.trial import TrialsSpec, resources_of, run_trial
from orchestrator.sweep.trials import Trials, best_of
from orchestrator.tracking.mlflow_store import MlflowStore
from orchestrator.tracking.registry import answering, register
from orchestrator.tracking.tracker import Tracker
from workloads.artifacts import exists, write_json
from workloads.errors import ClusterError, Conflict, WsolError
from workloads.search.suggestions import Suggestions
from workloads.shards.shards import Shards

VERB = Verb("tune", "a sweep", "choose another --name or restore the settings")


@dataclass(frozen=True, slots=True)
class SweepResult:
    """A finished sweep.

    Attributes:
        best: number of the best trial.
        value: its metric on the validation split, at its own best cut-offs.
        values: its training parameters.
        start: number of the trial with the recipe's own parameters; None without one.
        trials: all of them, in order.
        test: metrics of the best trial and of the start on the test split; empty without one.
        model: folder of the best trial's tuned model.
        version: the same as a registered version, NAME/NUMBER; None where that failed.
    """

    sweep: str
    recipe: str
    metric: str
    best: int
    value: float
    values: dict[str, Any]
    start: int | None
    finished: int
    failed: int
    stopped: int
    trials: list[dict[str, Any]]
    test: dict[str, dict[str, Any]]
    model: Path
    folder: Path
    report: Path
    version: str | None = None


def sweep(
    settings: Settings,
    spec: SweepSpec,
    suggestions: Suggestions,
    paths: SweepPaths,
    *,
    resume: bool = False,
) -> SweepResult:
    """Try points of a space, judge each by its own best cut-offs, measure the best on test.

    Killed at any moment and continued, finished trials are kept, and unfinished ones go on from
    their last checkpoint.

    Raises:
        Conflict: the name is that of a finished or different sweep; or another process runs it.
        WsolError: more trials failed than may, or none finished.
    """
    settings.check_tracking()
    begun = exists(paths.record(0))
    refuse_started(paths, "more trials: --resume --trials N", begun=begun, resume=resume)
    with claim(paths.folder, spec.deciding(), VERB):
        with tracked(Tracker(settings), spec, paths):
            try_all(settings, spec, suggestions, paths)
            result = _result(settings, spec, paths)
            report_sweep(spec, suggestions.space, result, paths)
        result = replace(result, version=_registered(settings, result, paths))
        write_json(paths.result, plain_result(result))
    return result


def _registered(settings: Settings, result: SweepResult, paths: SweepPaths) -> str | None:
    """The winner as a model version, NAME/NUMBER; None while the tracking server is away."""
    name, best = settings.registry.model, result.trials[result.best]
    tags = {
        "recipe": result.recipe,
        "sweep": result.sweep,
        "trial": result.best,
        **{f"val.{metric}": value for metric, value in best["measured"].items()},
    }
    store = MlflowStore(settings)
    try:
        with answering(store, f"look up trial {result.best}"):
            run_id = store.find_run(trial_uid(paths, result.best))
        version = register(settings, result.model, name, tags, run_id)
    except ClusterError as error:
        say(f"sweep {paths.name}: the winner is not registered: {error}")
        return None
    return f"{name}/{version.version}"


def refuse_started(paths: SweepPaths, more: str, *, begun: bool, resume: bool) -> None:
    """A name is never used again by accident."""
    if resume or not begun:
        return
    if exists(paths.result):
        raise Conflict(
            f"sweep '{paths.name}' is finished ({paths.folder}); choose another --name, or go on "
            f"with {more}"
        )
    raise Conflict(
        f"sweep '{paths.name}' is unfinished ({paths.folder}); continue it with --resume or "
        "choose another --name"
    )


def try_all(settings: Settings, spec: TrialsSpec, points: Points, paths: SweepPaths) -> None:
    """Run all trials: on Ray as many at once as fit, without it one after the other.

    Raises:
        ResourceError: not even one fits on the cluster.
        WsolError: more of them failed than may.
    """
    queue, needs = TrialQueue(spec, points, paths), resources_of(spec.job)
    with connect(settings) as engine:
        engine.require(1, needs["cpu"], needs.get("gpu", 0), "train")
        if is_inline(settings):
            _one_by_one(spec, queue, paths)
        else:
            from orchestrator.sweep.on_ray import run_on_ray
            from orchestrator.sweep.view import watched

            with watched(spec, paths):
                run_on_ray(spec, queue, paths)
    queue.check()


def _one_by_one(spec: TrialsSpec, queue: TrialQueue, paths: SweepPaths) -> None:
    if spec.options.stop != "none":
        say(f"sweep {paths.name}: without Ray no trial is ended early (sweep.stop)")
    while (trial := queue.next()) is not None:
        queue.ended(run_trial(spec.job, paths, trial.number))


def _result(settings: Settings, spec: SweepSpec, paths: SweepPaths) -> SweepResult:
    trials = Trials(paths).read()
    best = best_of(trials)
    if best is None or best.value is None:
        raise WsolError(f"sweep '{paths.name}': no trial finished; see {paths.folder}/trials")
    if best.value < 0:
        raise WsolError(
            f"sweep '{paths.name}': no trial reaches sweep.at_least; trial {best.number} comes "
            f"nearest, {-best.value:.4f} short of it; try more with --resume --trials N, or start "
            "another sweep with lower floors"
        )
    start = 0 if spec.start is not None and trials[0].state == "finished" else None
    states = [trial.state for trial in trials.values()]
    return SweepResult(
        sweep=paths.name,
        recipe=spec.job.spec.recipe.name,
        metric=spec.options.metric,
        best=best.number,
        value=best.value,
        values=best.values,
        start=start,
        finished=states.count("finished"),
        failed=states.count("failed"),
        stopped=states.count("stopped"),
        trials=[trial.model_dump(mode="json") for trial in trials.values()],
        test=_on_test(
            settings, spec, paths, {best.number, best.number if start is None else start}
        ),
        model=paths.trial(best.number).tuned_model,
        folder=paths.folder,
        report=paths.report,
    )


def _on_test(
    settings: Settings, spec: SweepSpec, paths: SweepPaths, numbers: set[int]
) -> dict[str, dict[str, Any]]:
    """Metrics of some trials on the test split, which nothing was chosen on."""
    shards = Shards.open(spec.job.spec.shards)
    split = settings.data.test_split
    if split not in shards.splits:
        say(f"sweep {paths.name}: no split '{split}', so nothing is measured on it")
        return {}
    found = {}
    for number in sorted(numbers):
        run = paths.trial(number)
        result = evaluate(
            settings, str(run.tuned_model), shards, split, settings.evaluate,
            run.evaluation(split), run.predictions(split),
        )  # fmt: skip
        found[str(number)] = {
            name: {"value": m["value"], "interval": m["interval"]}
            for name, m in result.metrics.items()
        }
    return found


def plain_result(result: SweepResult) -> dict[str, Any]:
    """As JSON."""
    places = {name: str(getattr(result, name)) for name in ("model", "folder", "report")}
    return {**asdict(result), **places}
