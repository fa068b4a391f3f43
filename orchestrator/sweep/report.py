"""The page about a finished sweep, from what its trials left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.config.workspace import SweepPaths
from orchestrator.engine.progress import clock
from orchestrator.pages.base import Fact
from orchestrator.sweep.spec import SweepSpec
from orchestrator.tracking.events import learning_curves
from workloads.artifacts import read_json
from workloads.space import Space

if TYPE_CHECKING:
    from orchestrator.sweep.sweep import SweepResult


def report_sweep(spec: SweepSpec, space: Space, result: SweepResult, paths: SweepPaths) -> None:
    """Write the page, whole or not at all."""
    from orchestrator.pages.sweep.charts import SHOWN, Shown
    from orchestrator.pages.sweep.page import SweepStory, write_sweep_report
    from orchestrator.sweep.trials import Trials

    trials = Trials(paths).read()
    finished = [trial for trial in trials.values() if trial.state == "finished"]
    best = sorted(finished, key=lambda t: (-(t.value or 0.0), t.number))[:SHOWN]
    shown = [
        Shown(
            trial.number,
            learning_curves(paths.trial(trial.number).events),
            read_json(paths.trial(trial.number).search)["curve"],
            trial.cutoffs["cutoff"],
        )
        for trial in best
    ]
    story = SweepStory(
        name=paths.name,
        recipe=result.recipe,
        metric=result.metric,
        space=space,
        trials=[trial.model_dump() for trial in trials.values()],
        shown=shown,
        test=result.test,
        start=result.start,
        facts=_facts(spec, result),
    )
    write_sweep_report(paths.report, story)


def _facts(spec: SweepSpec, result: SweepResult) -> tuple[Fact, ...]:
    options = spec.options
    searched = f"{options.search}, seed {options.seed}"
    seconds = sum(trial["seconds"] for trial in result.trials)
    ended = f"{result.finished} finished, {result.stopped} ended early, {result.failed} failed"
    best = f"{result.value:.4f} {result.metric}"
    own = None if result.start is None else result.trials[result.start]["value"]
    more = () if own is None else (f"the recipe's own: {own:.4f}",)
    return (
        Fact("Best", f"trial {result.best}", (best, *more)),
        Fact("Trials", f"{len(result.trials)}", (ended, f"{clock(seconds)} of all together")),
        Fact("Search", searched, (f"protocol {spec.protocol}",) if spec.protocol else ()),
        Fact("Images", spec.job.spec.shards.name, (f"splits {spec.job.spec.train_split}, "
             f"{spec.job.spec.val_split}",)),
    )  # fmt: skip
