"""All methods at one budget, side by side: does each idea do what its paper says?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.chunks import run_tasks
from orchestrator.cluster import connect
from orchestrator.progress import Progress
from orchestrator.proposals import propose
from orchestrator.settings import Settings, load_settings
from orchestrator.train_spec import needs_proposals, pretraining
from orchestrator.workspace import Workspace
from workloads.artifacts import digest, read_json, write_json
from workloads.comparison.plan import Data, Plan, Reading, load_plan
from workloads.recipes import load_recipe
from workloads.shards import read_shard_manifest


def compare_methods() -> dict[str, object]:
    """Every training of `workloads/comparison/plan.yaml`, two at a time on two cores.

    Each finished trial is kept in the workspace, so a bench that was stopped goes on where it
    was. Cut-offs are searched on the validation split, values are of the test split.

    Returns:
        `table`: mean and spread over seeds of each metric, by data set and reading; `claims`:
        what became of what the papers lead one to expect.
    """
    from workloads.comparison.summary import table, verdicts

    settings, plan = load_settings(), load_plan()
    folder = bench_folder(settings, plan)
    started = time.monotonic()
    with connect(settings):
        _prepare(settings, plan, folder)
        _run(plan, folder)
    trials = [read_json(_result(folder, *trial)) for trial in plan.trials()]
    report: dict[str, object] = {
        "name": "methods",
        "trials": len(trials),
        "cpu_minutes": round(sum(t["seconds"] for t in trials) / 60, 1),
        "this_run_minutes": round((time.monotonic() - started) / 60, 1),
        "folder": str(folder),
        "table": [_plain(row) for row in table(plan, trials)],
        "claims": [asdict(verdict) for verdict in verdicts(plan, trials)],
    }
    write_json(folder / "report.json", report)
    return report


def bench_folder(settings: Settings, plan: Plan) -> Path:
    """Where trials of this plan are kept; another plan, or other recipes, have another folder."""
    recipes = [load_recipe(t.recipe).model_dump(mode="json") for t in plan.trainings.values()]
    key = digest({"plan": plan.model_dump(mode="json", exclude={"claims"}), "recipes": recipes})
    return Workspace(settings.workspace).folder / "bench" / f"methods-{key[:8]}"


def _prepare(settings: Settings, plan: Plan, folder: Path) -> None:
    """Data sets, what recipes start from, and proposals: what trials share."""
    starts = sorted(_starts(plan))
    units: list[dict[str, Any]] = [{"what": "data", "name": name} for name in plan.data]
    units += [{"what": "start", "name": name} for name in starts]
    with Progress(len(units), "parts", "prepare") as progress:
        for _ in run_tasks(units, partial(_prepare_one, folder=str(folder)), 1, "bench"):
            progress.advance(1)
    for training in plan.trainings.values():
        for data in training.data:
            shards = folder / "data" / data
            if needs_proposals(load_recipe(training.recipe), read_shard_manifest(shards).task):
                propose(settings, shards, ["train"], folder / "proposals" / data)


def _prepare_one(unit: dict[str, Any], *, folder: str) -> dict[str, Any]:
    from workloads.comparison import trial

    plan, root = load_plan(), Path(folder)
    if unit["what"] == "data":
        trial.make_shards(plan.data[unit["name"]], root / "data" / unit["name"])
        return unit
    recipe = load_recipe(unit["name"])
    shards = trial.make_shards(Data(dataset=recipe.dataset), root / "data" / unit["name"])
    trial.train(recipe, shards, {}, root / "starts" / unit["name"], None)
    return unit


def _run(plan: Plan, folder: Path) -> None:
    missing = [t for t in plan.trials() if not _result(folder, *t).exists()]
    units = [{"training": t, "data": data, "seed": seed} for t, data, seed in missing]
    total = len(plan.trials())
    with Progress(total, "trials", "compare methods", done=total - len(units)) as progress:
        for _ in run_tasks(units, partial(_trial, folder=str(folder)), 1, "bench"):
            progress.advance(1)


def _trial(unit: dict[str, Any], *, folder: str) -> dict[str, Any]:
    """Train, read in every way, measure, and keep the result."""
    from workloads.comparison import trial

    plan, root, started = load_plan(), Path(folder), time.monotonic()
    training, data, seed = unit["training"], unit["data"], unit["seed"]
    recipe = trial.recipe_of(plan, training, seed)
    shards = root / "data" / data
    model = trial.train(
        recipe,
        shards,
        {name: root / "starts" / name for name in pretraining(recipe).values()},
        root / "models" / f"{training}-{data}-{seed}",
        proposals if (proposals := root / "proposals" / data).exists() else None,
    )
    readings = {training: Reading(), **plan.trainings[training].readings}
    values = {
        name: trial.measure(plan, plan.data[data], model, reading, shards)
        for name, reading in readings.items()
    }
    result = {**unit, "readings": values, "seconds": round(time.monotonic() - started, 1)}
    write_json(_result(root, training, data, seed), result)
    return {"seconds": result["seconds"]}


def _starts(plan: Plan) -> Iterator[str]:
    """Names of the recipes from whose backbones the trainings start."""
    found: set[str] = set()
    for training in plan.trainings.values():
        found |= set(pretraining(load_recipe(training.recipe)).values())
    yield from found


def _result(folder: Path, training: str, data: str, seed: int) -> Path:
    return folder / "trials" / f"{training}-{data}-{seed}.json"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON."""
    return {name: v if isinstance(v, str) else asdict(v) for name, v in row.items()}
