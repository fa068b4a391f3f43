"""The page about a finished plan, from what its trials left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.config.workspace import PlanPaths
from orchestrator.engine.progress import clock
from orchestrator.pages.base import Fact, counted
from orchestrator.pages.plans.page import DataStory, PlanStory, Reading, write_plan_report
from orchestrator.plans.spec import PlanSpec, outcomes
from orchestrator.sweep.trials import Trial, Trials
from orchestrator.tracking.events import learning_curves
from workloads.comparison.summary import by_seed

Rows = Sequence[Mapping[str, Any]]


def report_plan(spec: PlanSpec, table: Rows, claims: Rows, paths: PlanPaths) -> None:
    """Write the page, whole or not at all.

    Args:
        table, claims: as in the result.
    """
    trials = Trials(paths).read()
    story = PlanStory(
        name=paths.name,
        metrics=spec.plan.metrics,
        data=[_data(spec, data, table, trials, paths) for data in spec.plan.data],
        claims=claims,
        failed=[(paths.record(t.number).stem, t.error or "") for t in trials.values() if t.error],
        facts=_facts(spec, trials),
    )
    write_plan_report(paths.report, story)


def _data(
    spec: PlanSpec, data: str, table: Rows, trials: Mapping[int, Trial], paths: PlanPaths
) -> DataStory:
    names, found = list(spec.plan.readings(data)), outcomes(trials)
    rows = {row["reading"]: row for row in table if row["data"] == data}
    readings = [
        Reading(
            name=name,
            key=names.index(name),
            row=rows[name],
            seeds={m: by_seed(found, data, name, m) for m in spec.plan.metrics},
        )
        for name in names
        if name in rows
    ]
    learned = [
        (names.index(trial.values["training"]), learning_curves(paths.trial(trial.number).events))
        for trial in trials.values()
        if trial.values["data"] == data and trial.state == "finished"
    ]
    return DataStory(data, readings, learned)


def _facts(spec: PlanSpec, trials: Mapping[int, Trial]) -> tuple[Fact, ...]:
    plan = spec.plan
    states = [trial.state for trial in trials.values()]
    seconds = sum(trial.seconds for trial in trials.values())
    ended = f"{states.count('finished')} finished, {states.count('failed')} failed"
    budget = ", ".join(f"{key} {value}" for key, value in plan.budget.items())
    return (
        Fact("Trials", f"{len(states)}", (ended, f"{clock(seconds)} of all together")),
        Fact(
            "Trainings",
            f"{len(plan.all_trainings)}",
            (f"on {counted(len(plan.data), 'data set', 'data sets')}",),
        ),
        Fact("Seeds", ", ".join(map(str, plan.seeds))),
        Fact("Budget", "shared" if budget else "each recipe's own", (budget,) if budget else ()),
    )
