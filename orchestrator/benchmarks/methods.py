"""All methods at one budget, side by side: does each idea do what its paper says?"""

from __future__ import annotations

import time
from collections import defaultdict

from orchestrator.config.settings import load_settings
from orchestrator.config.workspace import SweepPaths, Workspace
from orchestrator.plans.prepare import prepare
from orchestrator.plans.spec import PlanSpec, plan_spec
from orchestrator.plans.sweep_plan import sweep_plan
from orchestrator.sweep.trials import Trials
from orchestrator.tracking.untracked import Untracked
from workloads.artifacts import write_json
from workloads.benchmarks.extent import Extent
from workloads.shards.shards import Shards


def compare_methods(extent: Extent = "usual") -> dict[str, object]:
    """A campaign of hours (quick: minutes): the plan that comes with the project, as `wsol sweep`.

    The plan is `workloads/comparison/plan.yaml`. Quick is one epoch of few images from one seed,
    which shows that it runs and nothing about methods.

    Each finished trial is kept in the workspace, so a bench that was stopped goes on where it
    was. Cut-offs are searched on the validation split, values are of the test split.

    Returns:
        `table`: mean and spread over seeds of each metric, by data set and reading; `claims`:
        what became of what the papers lead one to expect. The folder also has a picture for each
        data set.
    """
    from workloads.comparison.read import load_plan

    settings, plan = load_settings(), load_plan()
    name = "methods"
    if extent == "quick":
        plan, name = plan.quick(), "methods-quick"
    folder, started = Workspace(settings.workspace).benchmark(name), time.monotonic()
    paths = SweepPaths(folder, settings.workspace)
    found = sweep_plan(settings, plan, paths, resume=True, tracker=Untracked())
    report: dict[str, object] = {
        "name": "methods",
        "trials": found.finished,
        "cpu_minutes": round(found.seconds / 60, 1),
        "this_run_minutes": round((time.monotonic() - started) / 60, 1),
        "folder": str(folder),
        "table": found.table,
        "claims": found.claims,
    }
    _draw(plan_spec(settings, plan, prepare(settings, plan, folder)), paths)
    write_json(folder / "report.json", report)
    return report


def _draw(spec: PlanSpec, paths: SweepPaths) -> None:
    """One picture for each data set: the same images by every reading, from the first seed."""
    from workloads.comparison.pictures import Column, draw_maps

    own, columns = spec.paths(paths), defaultdict[str, dict[str, Column]](dict)
    for number, trial in Trials(own).read().items():
        if trial.values["seed"] == spec.plan.seeds[0]:
            work = spec.job.work(trial.values)
            for name, found in trial.readings.items():
                cutoff = found["parameters"]["gt_known"]
                column = Column(own.trial(number).model, work.readings[name], work.how, cutoff)
                columns[trial.values["data"]][name] = column
    for data, readings in columns.items():
        training = spec.plan.readings(data)[next(iter(readings))]
        shards = Shards.open(spec.job.works[training][data].spec.shards)
        draw_maps(shards, readings).save(paths.folder / f"{data}.jpg", quality=85)
