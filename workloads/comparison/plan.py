"""Plan of a comparison: data sets, trainings, seeds, readings and claims.

A *training* is one recipe, trained on each of its data sets from each seed. A *reading* is a way to
turn its weights into scores and maps: the method that was trained, or another one on the same
weights (CAM's network by its gradient, say).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import Digits
from workloads.datasets.registry import DATASETS
from workloads.errors import ConfigError, WsolError, unknown_name
from workloads.metrics.registry import METRICS
from workloads.options import Options
from workloads.recipes.load import load_recipe, recipe_names
from workloads.recipes.own import recipe_name
from workloads.recipes.shipped import shipped

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A name that is part of names of folders, too."""
BOX_METRIC = "box_f1"
"""The metric at a cut-off of its own, and without the co-occurrence weight."""


class Data(Options):
    """One data set: shards that are there, or what the project makes. A folder alone is short.

    Attributes:
        shards: folder of what `wsol ingest` wrote.
        dataset: one that the project makes instead, "digits" or "single-digits".
        options: options of drawing it that differ from the defaults.
        pointing_tolerance_px: tolerance of the pointing metrics, else the settings'.
        budget: training options that differ from the plan's on these images.
    """

    shards: Path | None = None
    dataset: str | None = None
    options: dict[str, JsonValue] = Field(default={})
    pointing_tolerance_px: float | None = Field(default=None, ge=0)
    budget: dict[str, JsonValue] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _folder_alone(cls, given: Any) -> Any:
        return {"shards": given} if isinstance(given, str | Path) else given

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if (self.shards is None) == (self.dataset is None):
            raise ValueError("give either shards: FOLDER, or dataset: the name of a made one")
        if self.shards is not None and self.options:
            raise ValueError("options draw a made data set; shards have none")
        return self

    @property
    def kind(self) -> type[Digits]:
        """The made data set."""
        made = {name: kind for name, kind in DATASETS.items() if issubclass(kind, Digits)}
        _known("made data set", str(self.dataset), made)
        return made[str(self.dataset)]

    @property
    def drawn(self) -> DigitsOptions:
        """The options that a made data set is drawn with."""
        return self.kind.drawn_with.parse(self.options, "options")


class Reading(Options):
    """A way to read trained weights: by another method, or with other options."""

    method: str | None = None
    options: dict[str, JsonValue] = Field(default={})


class Training(Options):
    """One recipe and how it differs from the others.

    Attributes:
        recipe: a name, or the path of a file.
        data: names of data sets; all of the plan's if left out.
        options: options of its method instead of the recipe's.
        train: training options instead of the recipe's and of any budget.
        initial: part of its network to a model folder, a weights file, "imagenet" or "random",
            instead of what the recipe starts from.
        readings: further ways to read its weights, by name.
    """

    recipe: str
    data: tuple[str, ...] = ()
    options: dict[str, JsonValue] = Field(default={})
    train: dict[str, JsonValue] = Field(default={})
    initial: dict[str, str] = Field(default={})
    readings: dict[Name, Reading] = Field(default={})


class Claim(Options):
    """An expectation: `better` above `than` in a metric.

    Attributes:
        alpha: compare `better` with itself: with the best co-occurrence weight, and without.
    """

    paper: str = ""
    text: str
    data: str
    metric: str
    better: str
    than: str
    alpha: bool = False

    @model_validator(mode="after")
    def _has_alpha(self) -> Self:
        if self.alpha and self.metric == BOX_METRIC:
            raise ValueError(f"{BOX_METRIC} has no value with a co-occurrence weight; leave alpha")
        return self


class Trial(NamedTuple):
    """One training of the plan on one data set from one seed."""

    training: str
    data: str
    seed: int


class Plan(Options):
    """The whole comparison.

    Attributes:
        recipes: short for trainings that have nothing but a recipe, whose name they get.
        budget: training options that all trainings share; the recipes' own are overruled.
        metrics: names of the metrics to measure; the first one is shown while trials run.
    """

    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    data: dict[Name, Data] = Field(min_length=1)
    recipes: tuple[str, ...] = ()
    trainings: dict[Name, Training] = Field(default={})
    budget: dict[str, JsonValue] = Field(default={})
    metrics: tuple[str, ...] = Field(
        default=("gt_known", "max_box_acc_v2", "box_f1", "pointing", "classification_map"),
        min_length=1,
    )
    claims: tuple[Claim, ...] = ()

    @field_validator("seeds", "metrics", "recipes")
    @classmethod
    def _each_once(cls, given: tuple[Any, ...]) -> tuple[Any, ...]:
        if twice := [str(value) for value, times in Counter(given).items() if times > 1]:
            raise ValueError(f"{', '.join(twice)} is there twice")
        return given

    @field_validator("metrics")
    @classmethod
    def _are_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            _known("metric in metrics", name, METRICS)
        return metrics

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        if not self.all_trainings:
            raise ConfigError("plan: nothing to train; give recipes or trainings")
        for name, times in Counter(map(recipe_name, self.recipes)).items():
            if times > 1:
                raise ConfigError(f"plan: two recipes are called '{name}'; rename a file")
            if name in self.trainings:
                raise ConfigError(f"plan: recipes and trainings both have a '{name}'; rename one")
        for name, one in self.data.items():
            with named(f"data.{name}"):
                _ = one.dataset and one.drawn  # raises for what cannot be drawn
        for name, training in self.all_trainings.items():
            for data in training.data:
                _known(f"data of training {name}", data, self.data)
        for data in self.data:
            self._readings_differ(data)
        for claim in self.claims:
            _known("data of a claim", claim.data, self.data)
            _known("metric of a claim", claim.metric, self.metrics)
            for side in (claim.better, claim.than):
                _known("reading of a claim", side, self.readings(claim.data))
        return self

    def _readings_differ(self, data: str) -> None:
        names = [
            reading
            for name, training in self.trainings_on(data).items()
            for reading in (name, *training.readings)
        ]
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise ConfigError(f"plan: two readings on {data} are called '{twice[0]}'; rename one")

    @property
    def all_trainings(self) -> dict[str, Training]:
        """All of them, with those that are given in short."""
        short = {recipe_name(recipe): Training(recipe=recipe) for recipe in self.recipes}
        return {**short, **self.trainings}

    def trainings_on(self, data: str) -> dict[str, Training]:
        """The trainings on a data set."""
        return {
            name: training
            for name, training in self.all_trainings.items()
            if not training.data or data in training.data
        }

    def readings(self, data: str) -> dict[str, str]:
        """Name of each reading on a data set to the training whose weights it reads."""
        return {
            reading: name
            for name, training in self.trainings_on(data).items()
            for reading in (name, *training.readings)
        }

    def quick(self) -> Plan:
        """The same trainings in miniature: one seed, one epoch, a few images of each made kind.

        What starts from a model that somebody would have to train first starts from random weights.
        """
        few = {"train": 64, "val": 16, "test": 16}
        data = {
            name: one.model_copy(update={"options": {**one.options, **few}, "budget": {}})
            for name, one in self.data.items()
        }
        trainings = {name: _at_once(training) for name, training in self.all_trainings.items()}
        budget = {**self.budget, "epochs": 1, "warmup_epochs": 0}
        return self.model_copy(
            update={
                "seeds": self.seeds[:1], "data": data, "budget": budget,
                "trainings": trainings, "recipes": (),
            }
        )  # fmt: skip

    def trials(self) -> list[Trial]:
        """Everything that has to be trained; seeds vary slowest."""
        return [
            Trial(name, data, seed)
            for seed in self.seeds
            for name, training in self.all_trainings.items()
            for data in training.data or self.data
        ]


@contextmanager
def named(where: str) -> Iterator[None]:
    """For the time of the block, errors say which key of the plan is wrong."""
    try:
        yield
    except WsolError as error:
        raise type(error)(f"{where}: {error}") from None


def _at_once(training: Training) -> Training:
    """The same from random weights where others would have to be trained first."""
    recipe = load_recipe(training.recipe)
    sources = {"backbone": recipe.initial, **recipe.parts}
    known = set(recipe_names())
    random = {p: "random" for p, name in sources.items() if name in known and not shipped(name)}
    return training.model_copy(update={"initial": {**random, **training.initial}})


def _known(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ConfigError(unknown_name(kind, name, known))
