"""All that trials of a plan share, made before they begin: data, starts and proposals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from orchestrator.config.settings import Data as DataSettings
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import RunPaths, Workspace
from orchestrator.data.make import made_names, make
from orchestrator.ingest import ingest
from orchestrator.proposals import propose
from orchestrator.sweep.spec import trial_machine
from orchestrator.tracking.untracked import Untracked
from orchestrator.train.initial import initial_weights, pretraining
from orchestrator.train.spec import (
    TrainSpec,
    check_enough_images,
    make_spec,
    needs_proposals,
    proposals_of,
)
from orchestrator.train.train import train
from workloads.comparison.plan import Data, Plan, named
from workloads.comparison.recipes import check_readings, recipe_of
from workloads.errors import ConfigError, NotFound, unknown_name
from workloads.recipes.load import load_recipe
from workloads.recipes.schema import Recipe
from workloads.recipes.shipped import shipped
from workloads.shards.shards import Shards
from workloads.storage.addresses import absolute


class Need(NamedTuple):
    """One training on one data set, from any seed, and what it needs beside the images."""

    training: str
    data: str
    recipe: Recipe
    starts: dict[str, str]
    proposals: bool


def needs(settings: Settings, plan: Plan) -> list[Need]:
    """Needs of every training of a plan; nothing is made.

    Raises:
        ConfigError, NotFound: whatever is wrong in the plan, with its key.
    """
    tasks = {name: _task(settings, plan.data[name], name) for name in plan.data}
    found = []
    for training, data in dict.fromkeys((t.training, t.data) for t in plan.trials()):
        recipe = recipe_of(plan, training, data, plan.seeds[0])
        check_readings(plan, training, recipe)
        _check_ranking(recipe, training)
        given = plan.all_trainings[training].initial
        starts = _starts(recipe, given)
        with named(f"trainings.{training}"):
            initial_weights(recipe, tasks[data], given, later=starts)
            found.append(Need(training, data, recipe, starts, needs_proposals(recipe, tasks[data])))
    return found


def prepare(settings: Settings, plan: Plan, folder: Path) -> Iterator[tuple[Need, TrainSpec]]:
    """The specification of every training, with what it needs made; what is there is kept.

    Args:
        folder: the plan's, for what others start from.
    """
    wanted = needs(settings, plan)
    shards = {name: _shards(settings, data, name) for name, data in plan.data.items()}
    names = sorted({name for need in wanted for name in need.starts.values()})
    models = {name: _start(settings, name, folder) for name in names}
    for need in wanted:
        given = plan.all_trainings[need.training].initial
        with named(f"trainings.{need.training}"):
            spec = _spec(settings, need, shards[need.data], {**given, **_of(need, models)})
        yield need, spec


def splits(settings: Settings) -> tuple[str, str]:
    """The splits to learn from, and to choose on."""
    return settings.data.train_split, settings.data.val_split


def _of(need: Need, models: Mapping[str, Path]) -> dict[str, str]:
    return {part: str(models[name]) for part, name in need.starts.items()}


def _spec(settings: Settings, need: Need, shards: Shards, initial: Mapping[str, str]) -> TrainSpec:
    proposals = None
    if need.proposals:
        options = proposals_of(need.recipe, settings.proposals)
        proposals = propose(settings, shards, options, [settings.data.train_split])
    spec = make_spec(
        trial_machine(settings), need.recipe, shards, splits(settings),
        initial=initial, proposals=proposals,
    )  # fmt: skip
    check_enough_images(spec)
    return spec


def _task(settings: Settings, data: Data, name: str) -> str:
    """The task of a data set, which is looked at if it is there."""
    if data.shards is None:
        return data.kind.task
    with named(f"data.{name}"):
        shards = Shards.open(absolute(data.shards))
        for key in ("train_split", "val_split", "test_split"):
            split = getattr(settings.data, key)
            if split not in shards.splits:
                said = unknown_name("split", split, shards.splits)
                raise NotFound(f"{shards.folder}: {said}; name one with --set data.{key}=NAME")
        shards.require_positives(settings.data.train_split)
        return shards.task


def _shards(settings: Settings, data: Data, name: str) -> Shards:
    with named(f"data.{name}"):
        if data.shards is not None:
            return Shards.open(absolute(data.shards))
        dataset = str(data.dataset)
        made = make(settings, dataset, {dataset: data.drawn})
        out = Workspace(settings.workspace).shards(made.root.name)
        return Shards.open(ingest(settings, dataset, made.root, out).folder)


def _check_ranking(recipe: Recipe, training: str) -> None:
    """Refuse a recipe whose classes other networks rank."""
    if recipe.evaluation.ranking:
        raise ConfigError(
            f"trainings.{training}: recipe '{recipe.name}' ranks classes by other classifiers "
            "(evaluation.ranking), which a plan does not; set evaluation: {ranking: []} in a "
            "recipe of your own with this one as its base"
        )


def _starts(recipe: Recipe, given: Mapping[str, str]) -> dict[str, str]:
    """Part to the recipe that it starts from and that has to be trained first, on made data."""
    made = made_names()
    return {
        part: name
        for part, name in pretraining(recipe, given).items()
        if not shipped(name) and load_recipe(name).dataset in made
    }


def _start(settings: Settings, name: str, folder: Path) -> Path:
    """The model of a recipe that others start from, trained in this process."""
    recipe, own = load_recipe(name), DataSettings()  # a made data set has its own splits
    shards = _shards(settings, Data(dataset=recipe.dataset), name)
    machine = trial_machine(settings)
    spec = make_spec(machine, recipe, shards, (own.train_split, own.val_split))
    run = RunPaths(folder / "starts" / f"{name}-{spec.identity()[:8]}")
    return train(machine, spec, run, resume=True, tracker=Untracked()).model
