"""Plans as users write them: YAML files, with places relative to the file."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from workloads.comparison.plan import Plan, Training
from workloads.recipes.load import recipe_names
from workloads.recipes.own import is_file, read_keys
from workloads.storage.addresses import below

NOT_FILES = ("imagenet", "random")
"""Sources of initial weights that are no places."""


def read_plan(path: Path) -> Plan:
    """A user's plan; places in it are relative to its file.

    Raises:
        NotFound: there is no such file.
        ConfigError: it is not YAML, has an unknown key (with the nearest one) or a wrong value.
    """
    values = read_keys(path, "no such plan", "write 'recipes: [NAME, NAME]' and 'data: {...}'")
    plan = Plan.parse(values, str(path))
    folder = path.expanduser().parent
    data = {
        name: one.model_copy(update={"shards": one.shards and _placed(one.shards, folder)})
        for name, one in plan.data.items()
    }
    trainings = {name: _training_placed(one, folder) for name, one in plan.all_trainings.items()}
    return plan.model_copy(update={"data": data, "trainings": trainings, "recipes": ()})


@cache
def load_plan() -> Plan:
    """The plan that `wsol bench methods` follows."""
    with as_file(files(__package__).joinpath("plan.yaml")) as path:
        return read_plan(path)


def places(plan: Plan) -> list[Path]:
    """Files and folders that a plan names, as it was read."""
    shards = [data.shards for data in plan.data.values() if data.shards is not None]
    trainings = plan.all_trainings.values()
    recipes = [Path(one.recipe) for one in trainings if is_file(one.recipe)]
    given = {source for one in trainings for source in one.initial.values()}
    weights = given - {*NOT_FILES, *recipe_names()}
    return [*shards, *recipes, *map(Path, sorted(weights))]


def _training_placed(training: Training, folder: Path) -> Training:
    recipe = training.recipe
    if is_file(recipe):
        recipe = str(_placed(Path(recipe), folder))
    known = {*NOT_FILES, *recipe_names()}
    initial = {
        part: source if source in known else str(_placed(Path(source), folder))
        for part, source in training.initial.items()
    }
    return training.model_copy(update={"recipe": recipe, "initial": initial})


def _placed(path: Path, folder: Path) -> Path:
    return below(folder, str(path.expanduser()))
