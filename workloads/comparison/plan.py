"""Plan of the comparison: data sets, trainings, readings and claims.

A *training* is one recipe on one data set from one seed. A *reading* is a way to turn its weights
into scores and maps: the method that was trained, or another one on the same weights (CAM's
network by its gradient, say).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, Self

import yaml
from pydantic import Field, JsonValue, model_validator

from workloads.errors import ConfigError, unknown_name
from workloads.options import Options
from workloads.recipes.load import load_recipe
from workloads.recipes.schema import Recipe


class Data(Options):
    """One data set that the project makes.

    Attributes:
        dataset: "digits" or "single-digits".
        options: options of drawing it that differ from the defaults.
        pointing_tolerance_px: tolerance of the pointing metrics.
        budget: training options that differ from the plan's on these images.
    """

    dataset: str
    options: dict[str, JsonValue] = Field(default={})
    pointing_tolerance_px: float = 4.0
    budget: dict[str, JsonValue] = Field(default={})


class Reading(Options):
    """A way to read trained weights: by another method, or with other options."""

    method: str | None = None
    options: dict[str, JsonValue] = Field(default={})


class Training(Options):
    """One recipe, the data sets on which it is trained, and its further readings by name."""

    recipe: str
    data: tuple[str, ...]
    readings: dict[str, Reading] = Field(default={})


class Claim(Options):
    """An expectation from a paper: `better` above `than` in a metric.

    Attributes:
        alpha: compare `better` with itself: with the best co-occurrence weight, and without.
    """

    paper: str
    text: str
    data: str
    metric: str
    better: str
    than: str
    alpha: bool = False


class Trial(NamedTuple):
    """One training of the plan on one data set from one seed."""

    training: str
    data: str
    seed: int


class Plan(Options):
    """The whole comparison.

    Attributes:
        budget: training options that all trainings share; the recipes' own are overruled.
        metrics: names of the metrics to measure.
    """

    seeds: tuple[int, ...] = Field(min_length=1)
    budget: dict[str, JsonValue]
    metrics: tuple[str, ...]
    data: dict[str, Data]
    trainings: dict[str, Training]
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, training in self.trainings.items():
            for data in training.data:
                _known(f"data of training {name}", data, self.data)
        for claim in self.claims:
            _known("data of a claim", claim.data, self.data)
            _known("metric of a claim", claim.metric, self.metrics)
            for side in (claim.better, claim.than):
                _known("reading of a claim", side, self.readings(claim.data))
        return self

    def readings(self, data: str) -> dict[str, str]:
        """Name of each reading on a data set to the training whose weights it reads."""
        return {
            reading: name
            for name, training in self.trainings.items()
            if data in training.data
            for reading in (name, *training.readings)
        }

    def quick(self) -> Plan:
        """The same trainings in miniature: one seed, one epoch, a few images of each kind."""
        few = {"train": 64, "val": 32, "test": 32}
        data = {
            name: one.model_copy(update={"options": {**one.options, **few}, "budget": {}})
            for name, one in self.data.items()
        }
        budget = {**self.budget, "epochs": 1, "warmup_epochs": 0}
        return self.model_copy(update={"seeds": self.seeds[:1], "data": data, "budget": budget})

    def trials(self) -> list[Trial]:
        """Everything that has to be trained; seeds vary slowest."""
        return [
            Trial(name, data, seed)
            for seed in self.seeds
            for name, training in self.trainings.items()
            for data in training.data
        ]


def recipe_of(plan: Plan, training: str, data: str, seed: int) -> Recipe:
    """The recipe of a training with the budget of its data set and a seed."""
    recipe = load_recipe(plan.trainings[training].recipe)
    budget = {**plan.budget, **plan.data[data].budget, "seed": seed}
    options = type(recipe.train).parse(
        {**recipe.train.model_dump(), **budget}, f"training {training}"
    )
    return recipe.model_copy(update={"train": options})


@cache
def load_plan() -> Plan:
    """The plan that `wsol bench methods` follows.

    Raises:
        ConfigError: the file is wrong.
    """
    text = files(__package__).joinpath("plan.yaml").read_text(encoding="utf-8")
    values: dict[str, Any] = yaml.safe_load(text)
    return Plan.parse(values, "comparison plan")


def _known(kind: str, name: str, known: Any) -> None:
    if name not in known:
        raise ConfigError(unknown_name(kind, name, known))
