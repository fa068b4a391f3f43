"""The search space of a recipe: what its method declares, as a user changed it.

A parameter is an option of the method or of the training, or else a cut-off of its stored maps. A
user's file has them by name:

    learning_rate: {low: 0.001, high: 0.1}     another range; what is left out stays
    batch_size: [16, 32, 64]                   a choice
    attention_high: 0.7                        fixed

Any option can be added so. Whatever becomes of the space, its constraints hold by construction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from workloads.errors import ConfigError, unknown_name
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import SearchSpace
from workloads.methods.registry import METHODS, method_options
from workloads.options import Options
from workloads.recipes.own import read_keys
from workloads.recipes.schema import Recipe
from workloads.space import Choice, Parameter, Range, Scale, Space, Values
from workloads.training.options import TrainOptions

NOT_SEARCHED = frozenset({"seed", "model", "validation_images", "compile", "epochs"})
"""Options of a training that no search may set: they decide how results compare."""


class RangeChange(Options):
    """A user's range; what is not set stays as the method has it."""

    low: float | None = None
    high: float | None = None
    scale: Scale | None = None
    integer: bool | None = None


def read_changes(path: Path) -> dict[str, Any]:
    """The keys of a user's file.

    Raises:
        NotFound: there is no such file.
        ConfigError: it is not YAML, or does not hold keys and values.
    """
    return read_keys(path, "no such file of a search space", "write NAME: {low: L, high: H}")


def recipe_space(
    recipe: Recipe,
    changes: Mapping[str, Any] | None = None,
    only: Collection[str] = (),
    where: str = "search space",
) -> SearchSpace:
    """The space of a recipe's search.

    Args:
        changes: as in a user's file.
        only: names, or patterns of names, of the training's parameters to search; the others stay
            as the recipe has them. Empty: all.
        where: of the changes, for messages.

    Raises:
        ConfigError: an unknown name (with the nearest one), an option that is not for searching,
            a range that is none or does not fit the option, or a space without any point.
    """
    declared = METHODS[recipe.method].search_space
    own = own_values(recipe)
    training = dict(declared.training.parameters)
    stored = dict(declared.stored_maps.parameters)
    for name, change in (changes or {}).items():
        _check_name(name, own, where)
        tier = training if name in own else stored
        tier[name] = _changed(tier.get(name), change, f"{where}: {name}")
    if only:
        _check_patterns(only, training)
        kept = {n for n in training if any(fnmatchcase(n, pattern) for pattern in only)}
        training = {n: p if n in kept else _fixed(own[n], p) for n, p in training.items()}
    space = SearchSpace(
        Space(training, declared.training.constraints),
        Space(stored, declared.stored_maps.constraints),
    )
    _check_values(recipe, space.training, where)
    return space


def own_values(recipe: Recipe) -> dict[str, Any]:
    """The recipe's own value of every option of its method and training."""
    return {**recipe.train.model_dump(), **method_options(recipe.method, given_options(recipe))}


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """A recipe with values of a space's training parameters instead of its own.

    Raises:
        ConfigError: an option refuses its value.
    """
    of_method = METHODS[recipe.method].options_type.model_fields
    method = {name: value for name, value in values.items() if name in of_method}
    train = {name: value for name, value in values.items() if name not in of_method}
    given = {**recipe.method_options, **method}
    method_options(recipe.method, given_options(recipe) | method)
    options = TrainOptions.parse({**recipe.train.model_dump(), **train}, f"recipe {recipe.name}")
    return recipe.model_copy(update={"method_options": given, "train": options})


def varied(space: Space) -> tuple[str, ...]:
    """Names of parameters that have more than one value."""
    return tuple(name for name, p in space.items() if len(p.grid(2)) > 1)


def start(recipe: Recipe, space: Space) -> Values | None:
    """The recipe's own values as a point of the space; None where they are outside of it."""
    own = own_values(recipe)
    values = {name: own[name] for name in space}
    return values if space.contains(values) else None


def given_options(recipe: Recipe) -> dict[str, Any]:
    """Options of its method that a recipe gives, by its preset or itself."""
    return {**METHODS[recipe.method].presets.get(recipe.preset or "", {}), **recipe.method_options}


def _check_name(name: str, own: Mapping[str, Any], where: str) -> None:
    allowed = {*own, *Cutoffs.model_fields} - NOT_SEARCHED
    if name in NOT_SEARCHED:
        raise ConfigError(f"{where}: {name} is not for searching; set it with --recipe-set")
    if name not in allowed:
        raise ConfigError(f"{where}: {unknown_name('parameter', name, allowed)}")


def _check_patterns(only: Collection[str], training: Mapping[str, Any]) -> None:
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in training):
            raise ConfigError(f"--only: {unknown_name('parameter', pattern, training)}")


def _changed(declared: Parameter | None, change: Any, where: str) -> Parameter:
    if isinstance(change, list):
        return Choice(tuple(_hashable(value) for value in change))
    if not isinstance(change, Mapping):
        return _fixed(_hashable(change), declared)
    asked = RangeChange.parse(change, where).model_dump(exclude_none=True)
    before = declared.describe() if isinstance(declared, Range) else {}
    both = {**before, **asked}
    missing = [end for end in ("low", "high") if end not in both]
    if missing:
        raise ConfigError(f"{where}: no {' and '.join(missing)}; give both ends of the range")
    try:
        return Range(**both)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _fixed(value: Any, declared: Parameter | None) -> Parameter:
    """One value, of the kind that constraints of the declared parameter need."""
    if isinstance(declared, Range) and isinstance(value, int | float):
        return Range(value, value, integer=declared.integer)
    return Choice((value,))


def _check_values(recipe: Recipe, space: Space, where: str) -> None:
    """Refuse a space with ends that options do not take, before anything is trained there."""
    if not varied(space):
        raise ConfigError(f"{where}: every parameter has one value; leave one to be searched")
    for values in (space.clipped(_ends(space, which)) for which in (0, -1)):
        try:
            with_values(recipe, values)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None


def _ends(space: Space, which: int) -> Values:
    return {name: parameter.grid(2)[which] for name, parameter in space.items()}


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
