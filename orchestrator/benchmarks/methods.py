"""All methods at one budget, side by side: does each idea do what its paper says?"""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import Any

from orchestrator.config.settings import Settings, load_settings
from orchestrator.config.workspace import Workspace
from orchestrator.engine.connect import connect
from orchestrator.engine.engine import Engine
from orchestrator.engine.progress import Progress
from orchestrator.proposals import propose
from orchestrator.train.initial import pretraining
from orchestrator.train.spec import needs_proposals
from workloads.artifacts import read_json, write_json
from workloads.benchmarks.extent import Extent
from workloads.comparison.places import Places
from workloads.comparison.plan import Data, Reading, Trial, load_plan, recipe_of
from workloads.recipes.load import load_recipe
from workloads.shards.shards import Shards


def compare_methods(extent: Extent = "usual") -> dict[str, object]:
    """A campaign of hours (quick: minutes): every training of the comparison, two at a time.

    The plan is `workloads/comparison/plan.yaml`. Quick is one epoch of few images from one seed,
    which shows that it runs and nothing about methods.

    Each finished trial is kept in the workspace, so a bench that was stopped goes on where it
    was. Cut-offs are searched on the validation split, values are of the test split.

    Returns:
        `table`: mean and spread over seeds of each metric, by data set and reading; `claims`:
        what became of what the papers lead one to expect. The folder also has a picture for each
        data set.
    """
    from workloads.comparison.summary import table, verdicts

    settings, plan = load_settings(), load_plan()
    name = "methods"
    if extent == "quick":
        plan, name = plan.quick(), "methods-quick"
    folder = Workspace(settings.workspace).benchmark(name)
    places, started = Places(folder, plan), time.monotonic()
    with connect(settings) as engine:
        _prepare(settings, engine, places)
        _run(engine, places)
    trials = [read_json(places.result(trial)) for trial in plan.trials()]
    report: dict[str, object] = {
        "name": "methods",
        "trials": len(trials),
        "cpu_minutes": round(sum(t["seconds"] for t in trials) / 60, 1),
        "this_run_minutes": round((time.monotonic() - started) / 60, 1),
        "folder": str(folder),
        "table": [_plain(row) for row in table(plan, trials)],
        "claims": [asdict(verdict) for verdict in verdicts(plan, trials)],
    }
    _draw(places)
    write_json(folder / "report.json", report)
    return report


def _prepare(settings: Settings, engine: Engine, places: Places) -> None:
    """Data sets, what recipes start from, and proposals: what trials share."""
    plan = places.plan
    starts = {
        s for t in plan.trainings.values() for s in pretraining(load_recipe(t.recipe)).values()
    }
    units: list[dict[str, Any]] = [{"what": "data", "name": name} for name in plan.data]
    units += [{"what": "start", "name": name} for name in sorted(starts)]
    with Progress(len(units), "parts", "prepare") as progress:
        for _ in engine.tasks(units, partial(_prepare_one, places=places), 1, "bench"):
            progress.advance(1)
    for training in plan.trainings.values():
        for data in training.data:
            shards = Shards.open(places.data(data))
            if needs_proposals(load_recipe(training.recipe), shards.task):
                propose(settings, shards, settings.proposals, ["train"], places.proposals(data))


def _prepare_one(unit: dict[str, Any], *, places: Places) -> dict[str, Any]:
    from workloads.comparison import trial

    name = unit["name"]
    if unit["what"] == "data":
        trial.make_shards(places.plan.data[name], places.data(name))
        return unit
    recipe = load_recipe(name)
    shards = trial.make_shards(Data(dataset=recipe.dataset), places.start_data(name))
    trial.train(recipe, shards, {}, places.start(name), None)
    return unit


def _run(engine: Engine, places: Places) -> None:
    trials = places.plan.trials()
    units = [t._asdict() for t in trials if not places.result(t).exists()]
    done = len(trials) - len(units)
    with Progress(len(trials), "trials", "compare methods", done=done) as progress:
        for _ in engine.tasks(units, partial(_trial, places=places), 1, "bench"):
            progress.advance(1)


def _trial(unit: dict[str, Any], *, places: Places) -> dict[str, Any]:
    """Train, read in every way, measure, and keep the result."""
    from workloads.comparison import trial

    one, plan, started = Trial(**unit), places.plan, time.monotonic()
    recipe, shards = recipe_of(plan, *one), places.data(one.data)
    proposals = places.proposals(one.data)
    model = trial.train(
        recipe,
        shards,
        {name: places.start(name) for name in pretraining(recipe).values()},
        places.model(one),
        proposals if proposals.exists() else None,
    )
    readings = {one.training: Reading(), **plan.trainings[one.training].readings}
    values = {
        name: trial.measure(plan, plan.data[one.data], model, reading, shards)
        for name, reading in readings.items()
    }
    result = {**unit, "readings": values, "seconds": round(time.monotonic() - started, 1)}
    write_json(places.result(one), result)
    return {"seconds": result["seconds"]}


def _draw(places: Places) -> None:
    """One picture for each data set: the same images by every reading, from the first seed."""
    from workloads.comparison.pictures import draw_maps

    plan = places.plan
    for data in plan.data:
        readings = {}
        for name, training in plan.readings(data).items():
            one = Trial(training, data, plan.seeds[0])
            cutoff = read_json(places.result(one))["readings"][name]["parameters"]["gt_known"]
            reading = plan.trainings[training].readings.get(name, Reading())
            readings[name] = (places.model(one), reading, cutoff)
        draw_maps(places.data(data), readings).save(places.folder / f"{data}.jpg", quality=85)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON."""
    return {name: v if isinstance(v, str) else asdict(v) for name, v in row.items()}
