"""Recipes of users: a YAML file of their own, and changes of single keys."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from workloads.errors import ConfigError, NotFound, one_line
from workloads.files import read_text
from workloads.storage.addresses import shown

ENDINGS = (".yaml", ".yml")
OF_A_PAPER = ("row", "published", "quoted", "deviations")
"""What a recipe says about a row of a paper, which another training than that one has not."""


def is_file(recipe: str) -> bool:
    """Whether a recipe is given as a file, which ends in .yaml or .yml, not by its name."""
    return recipe.endswith(ENDINGS)


def recipe_name(recipe: str) -> str:
    """The name of a recipe that is given by its name or as a file."""
    return Path(recipe).stem if is_file(recipe) else recipe


def read_own(path: Path) -> dict[str, Any]:
    """The keys of a file, as it has them.

    Raises:
        NotFound: there is no such file.
        ConfigError: it is not YAML, or does not hold keys and values.
    """
    values = read_keys(
        path, "no such recipe; write the file, from 'wsol list recipes --show NAME', say",
        "start with 'base: NAME'",
    )  # fmt: skip
    if "name" in values:
        raise ConfigError(f"{path}: a recipe is called as its file; remove the key 'name'")
    return values


def read_keys(path: Path, missing: str, form: str) -> dict[str, Any]:
    """The keys and values of a user's YAML file.

    Args:
        missing, form: what is said of a file that is not there, and of one without keys.

    Raises:
        NotFound: there is no such file.
        ConfigError: it is not YAML, or does not hold keys and values.
    """
    try:
        values = yaml.safe_load(read_text(path.expanduser()))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound(f"{shown(path)}: {missing}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {one_line(str(error))}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold keys and values; {form}")
    return values


def check_base(base: Any, known: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError if there is no such base; there are too many to name them all."""
    if base is None or (isinstance(base, str) and base in known):
        return
    near = difflib.get_close_matches(str(base), known, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise ConfigError(f"{where}: unknown base '{base}'{hint} ('wsol list recipes' names all)")


def with_changes(values: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Keys with some of them changed, each change as `key.path=value` (a YAML value).

    Raises:
        ConfigError: a change is written in another way.
    """
    changed = copy.deepcopy(dict(values))
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise ConfigError(f"--recipe-set {change}: write it as key.path=value")
        *parents, last = key.split(".")
        place = changed
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--recipe-set {change}: '{parent}' holds a value, not keys")
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"--recipe-set {change}: '{text}' is not a YAML value") from None
    return changed


def without_paper(values: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Keys without what a base says about its row of a paper; what `own` says stays."""
    return {k: value for k, value in values.items() if k not in OF_A_PAPER or k in own}
