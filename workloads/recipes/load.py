"""Recipes: one YAML file for each training that has a name, and for each row of the papers.

A recipe names one row: method, preset, backbone, data set, hyperparameters, metrics and, for a
row of a paper, the paper's numbers. A row whose system is not part of this project is a
quotation: it has the numbers alone (`quoted: true`).

Files lie in one folder per paper and are named after the recipe. What many rows share stands once,
in the folder `bases`: `base: NAME` takes it over, and keys of the file itself win, at any depth.
Users have recipes of their own in files anywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from workloads.errors import ConfigError, unknown_name
from workloads.recipes.own import (
    check_base,
    is_file,
    read_own,
    recipe_name,
    with_changes,
    without_paper,
)
from workloads.recipes.schema import Quotation, Recipe

BASES = "bases"
ENDING = ".yaml"
# Twenty times as fast, which shows with so many files; present wherever PyYAML has its C library.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def recipe_names() -> list[str]:
    """Names of all recipes that can be trained."""
    return sorted(name for name in _written() if not _is_quoted(name))


def quotation_names() -> list[str]:
    """Names of all rows that are only quoted."""
    return sorted(name for name in _written() if _is_quoted(name))


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """One recipe by name, or a user's own by the path of its file.

    An own recipe is called as its file. Its `base` is any recipe or base, of which it takes over
    all but the row of a paper.

    Args:
        changes: `key.path=value`, instead of what the recipe says. What is changed is no row of a
            paper any more.

    Raises:
        ConfigError: no such recipe (with the nearest match), it is only quoted, its file or a
            change is wrong, or an own file has the name of another recipe.
        NotFound: no such file.
    """
    called = recipe_name(name)
    values = recipe_values(name, changes)
    if values.get("quoted"):
        numbers = ", ".join(str(number.value) for number in load_quotation(name).published)
        raise ConfigError(
            f"recipe '{name}' quotes {numbers} from a system that is not part of this project; "
            "'wsol list recipes' says which ones run"
        )
    return Recipe.parse({"name": called, **values}, f"recipe {called}")


def recipe_values(name: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The keys of a recipe with those of its bases, as they are written.

    Raises:
        As `load_recipe`, but values are not looked at.
    """
    values = _own_values(name) if is_file(name) else _values(name)
    if not changes:
        return values
    changed = with_changes(values, changes)
    return without_paper(changed, {}) if changed != values else values


def load_recipes(names: Iterable[str], changes: Sequence[str] = ()) -> dict[str, Recipe]:
    """Recipes by what they are called, in the order of `names`.

    Raises:
        ConfigError: as `load_recipe`, or two are called the same.
    """
    found: dict[str, Recipe] = {}
    for name in names:
        recipe = load_recipe(name, changes)
        if recipe.name in found:
            raise ConfigError(f"two recipes are called '{recipe.name}'; rename a file")
        found[recipe.name] = recipe
    return found


def load_quotation(name: str) -> Quotation:
    """One quoted row by name.

    Raises:
        ConfigError: no such row (with the nearest match), or its file is wrong.
    """
    return Quotation.parse({"name": name, **_values(name)}, f"recipe {name}")


def load_entries() -> list[Recipe | Quotation]:
    """Everything that has a name, in the order of names."""
    return [
        load_quotation(name) if _is_quoted(name) else load_recipe(name)
        for name in sorted(_written())
    ]


def with_bases(
    values: Mapping[str, Any],
    bases: Mapping[str, Mapping[str, Any]],
    where: str,
    seen: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The keys of a file with those of its base below them, and of the base's base.

    Raises:
        ConfigError: no such base (with the nearest match), or bases in a circle.
    """
    own = {key: value for key, value in values.items() if key != "base"}
    base = values.get("base")
    if base is None:
        return own
    if base in seen:
        raise ConfigError(f"{where}: bases in a circle: {' -> '.join([*seen, base])}")
    if base not in bases:
        raise ConfigError(f"{where}: {unknown_name('base', base, bases)}")
    return merged(with_bases(bases[base], bases, where, (*seen, base)), own)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested mappings as one; where both have a value that is no mapping, `above` wins."""
    both = {
        key: merged(below[key], value)
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        else value
        for key, value in above.items()
    }
    return {**below, **both}


def _own_values(file: str) -> dict[str, Any]:
    path, name = Path(file), recipe_name(file)
    if name in _written():
        raise ConfigError(f"{path}: '{name}' is the name of another recipe; rename the file")
    own = read_own(path)
    known = {**_written(), **_bases()}
    check_base(own.get("base"), known, f"recipe {name}")
    values = without_paper(with_bases(own, known, f"recipe {name}"), own)
    return {**values, "summary": own.get("summary", f"{name}, a recipe of your own")}


def _is_quoted(name: str) -> bool:
    return bool(_written()[name].get("quoted"))


def _values(name: str) -> dict[str, Any]:
    """The keys of a recipe with those of its bases."""
    if name not in _written():
        near = difflib.get_close_matches(name, _written(), n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        # There are far too many to name them all in one line.
        raise ConfigError(f"unknown recipe '{name}'{hint} ('wsol list recipes' names all)")
    return with_bases(_written()[name], _bases(), f"recipe {name}")


@cache
def _written() -> dict[str, dict[str, Any]]:
    """Recipe name to the keys in its file, of all folders but that of the bases."""
    folders = [f for f in files(__package__).iterdir() if f.is_dir() and f.name != BASES]
    return {name: values for folder in folders for name, values in _yaml_in(folder).items()}


@cache
def _bases() -> dict[str, dict[str, Any]]:
    return _yaml_in(files(__package__) / BASES)


def _yaml_in(folder: Traversable) -> dict[str, dict[str, Any]]:
    found = (file for file in folder.iterdir() if file.name.endswith(ENDING))
    return {file.name.removesuffix(ENDING): _read(file) for file in found}


def _read(file: Traversable) -> dict[str, Any]:
    values: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), LOADER)  # noqa: S506
    return values
