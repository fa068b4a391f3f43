"""Recipes: one YAML file for each training that has a name.

A recipe names one row: method, preset, backbone, data set, hyperparameters, metric and, for a
row of a paper, the paper's number.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field, JsonValue

from workloads.errors import ConfigError, unknown_name
from workloads.options import Options
from workloads.train_options import TrainOptions


class Published(Options):
    """A number as a paper prints it, with where it stands."""

    paper: str
    table: str
    value: float


class Recipe(Options):
    """Everything that defines one training."""

    name: str
    summary: str
    method: str
    preset: str | None = None
    method_options: dict[str, JsonValue] = Field(default={})
    backbone: str
    initial: str | None = Field(
        default=None, description="recipe whose backbone this one starts from"
    )
    dataset: str
    metric: str
    published: Published | None = None
    train: TrainOptions = TrainOptions()


def recipe_names() -> list[str]:
    """Names of all recipes."""
    return sorted(f.name.removesuffix(".yaml") for f in _files() if f.name.endswith(".yaml"))


def load_recipe(name: str) -> Recipe:
    """One recipe by name.

    Raises:
        ConfigError: no such recipe (with the nearest match), or its file is wrong.
    """
    if name not in recipe_names():
        raise ConfigError(unknown_name("recipe", name, recipe_names()))
    file = next(f for f in _files() if f.name == f"{name}.yaml")
    values: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return Recipe.parse({"name": name, **values}, f"recipe {name}")


def _files() -> list[Any]:
    return list(files(__name__).iterdir())
