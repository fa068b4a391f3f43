"""Recipes of a plan's trainings, as its budgets change them, and methods of its readings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workloads.comparison.plan import Plan, Reading, named
from workloads.methods.registry import METHODS, method_options
from workloads.recipes.load import load_recipe
from workloads.recipes.schema import Recipe
from workloads.recipes.space import given_options

PRESET_OF_READINGS = "tiny"


def recipe_of(plan: Plan, training: str, data: str, seed: int) -> Recipe:
    """The recipe of a training with the budget of its data set and a seed.

    Raises:
        ConfigError, NotFound: no such recipe, or an option that it does not take, with the
            training's name.
    """
    one = plan.all_trainings[training]
    with named(f"trainings.{training}"):
        recipe = load_recipe(one.recipe)
        train = {**plan.budget, **plan.data[data].budget, **one.train, "seed": seed}
        options = type(recipe.train).parse({**recipe.train.model_dump(), **train}, "train")
        methods = {**recipe.method_options, **one.options}
        changed = recipe.model_copy(update={"train": options, "method_options": methods})
        method_options(recipe.method, given_options(changed))  # raises for what is no option
        return changed


def check_readings(plan: Plan, training: str, recipe: Recipe) -> None:
    """Refuse a reading of a training that there is not.

    Raises:
        ConfigError: an unknown method or option, with the reading's name.
    """
    for name, reading in plan.all_trainings[training].readings.items():
        with named(f"trainings.{training}.readings.{name}"):
            reading_options(recipe.method, given_options(recipe), reading)


def reading_options(
    method: str, own: Mapping[str, Any], reading: Reading
) -> tuple[str, dict[str, Any]]:
    """The method of a reading, with all its options.

    Args:
        method, own: what was trained.
    """
    if reading.method is None:
        return method, method_options(method, {**own, **reading.options})
    preset = METHODS[reading.method].presets[PRESET_OF_READINGS]
    return reading.method, method_options(reading.method, {**preset, **reading.options})
