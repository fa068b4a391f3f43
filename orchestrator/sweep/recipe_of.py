"""The recipe that a search is about: by its own name, or by its method's."""

from __future__ import annotations

from collections.abc import Sequence

from workloads.errors import ConfigError
from workloads.methods.registry import METHODS
from workloads.recipes.load import load_recipe, recipe_names
from workloads.recipes.schema import Recipe


def recipe_of(name: str, dataset: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of that name or file, or the one of a method for a data set.

    Raises:
        ConfigError: no such recipe or method (with the nearest recipe), or several recipes of the
            method for that data set, which are named.
    """
    if name not in METHODS or name in recipe_names():
        return load_recipe(name, changes)
    found = [r for r in map(load_recipe, recipe_names()) if _is_of(r, name, dataset)]
    plain = [r for r in found if not r.method_options] or found
    if len(plain) == 1:
        return load_recipe(plain[0].name, changes)
    names = ", ".join(r.name for r in plain) or "none"
    raise ConfigError(
        f"method '{name}' has no single recipe for data set '{dataset}' (there: {names}); name a "
        "recipe"
    )


def is_recipe(name: str) -> bool:
    """Whether a name is that of a recipe or a method."""
    return name in METHODS or name in recipe_names()


def _is_of(recipe: Recipe, method: str, dataset: str) -> bool:
    return recipe.method == method and recipe.dataset == dataset
