"""Schema of a recipe: a training, its measurement and the row of a paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from workloads.errors import ConfigError
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.options import MetricOptions
from workloads.options import Options
from workloads.proposals.options import ProposalOptions
from workloads.training.options import TrainOptions

Overrides = dict[str, JsonValue]
Paper = Literal["spn", "spg", "saliency-aware", "oquab", "bency", "toolkit"]
"""Of "toolkit" are the tables that Choe et al. print for `wsolevaluation`."""


def _fitting(kind: type[Options]) -> Callable[[Overrides], Overrides]:
    """Accepts overrides that `kind` has, with values that it takes."""

    def check(values: Overrides) -> Overrides:
        try:
            kind.parse(values, kind.__name__)
        except ConfigError as error:
            raise PydanticCustomError("overrides", "{problem}", {"problem": str(error)}) from None
        return values

    return check


# Not the options themselves: those would carry their defaults along, and hide the settings' own.
MetricOverrides = Annotated[Overrides, AfterValidator(_fitting(MetricOptions))]
ProposalOverrides = Annotated[Overrides, AfterValidator(_fitting(ProposalOptions))]
CutoffOverrides = Annotated[Overrides, AfterValidator(_fitting(Cutoffs))]


class Row(Options):
    """Place of a number in a paper.

    Attributes:
        paper: one of the five, or the toolkit's.
        table: its number, or "text" where the number stands in the text alone.
        row: as the paper names it.
        column: the network or data set, in tables that have several of them in columns.
    """

    paper: Paper
    table: str
    row: str
    column: str | None = None


class Published(Options):
    """One number as a paper prints it.

    Attributes:
        metric: its name in `wsol evaluate`.
        value: the number in percent, the papers' unit.
        error: the paper prints 100 minus the metric: an error where the metric counts what is
            right, or the other way round.
        options: metric options that only this number has (an IoU, say).
        per_class: the same for each class, in the order of the data set's classes.
    """

    metric: str
    value: float
    error: bool = False
    options: MetricOverrides = Field(default={})
    per_class: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """Short label, unique among the recipe's numbers."""
        options = [f"{name}={value}" for name, value in self.options.items()]
        return " ".join(["100 -", self.metric, *options] if self.error else [self.metric, *options])

    def ours(self, value: float) -> float:
        """A value of the metric in [0, 1] as the paper would print it."""
        return 100 * (1 - value) if self.error else 100 * value


class Splits(Options):
    """Splits by their names in the data set's layout."""

    train: str = Field(default="train", description="split to learn from")
    val: str = Field(default="val", description="split on which cut-offs are searched")
    test: str = Field(default="test", description="split that is reported")


class Evaluation(Options):
    """Settings of measuring a row that differ from the defaults."""

    metrics: MetricOverrides = Field(default={}, description="options of all its metrics")
    cutoffs: CutoffOverrides = Field(
        default={}, description="given by the paper; those that are not here are searched"
    )
    per_class: bool = Field(default=False, description="search a cut-off for each class")
    ten_crop_margin: int | None = Field(
        default=None, gt=0, description="scores are the mean over ten crops; see `Preprocessing`"
    )
    ranking: tuple[str, ...] = Field(
        default=(), description="classifiers whose mean probabilities rank the classes instead"
    )


class Entry(Options):
    """Fields that runnable and quoted rows share."""

    name: str
    summary: str
    row: Row | None = None
    dataset: str
    published: tuple[Published, ...] = ()


class Quotation(Entry):
    """A row whose system is not part of this project: its number stands beside ours."""

    quoted: Literal[True] = True
    row: Row
    published: tuple[Published, ...] = Field(min_length=1)


class Recipe(Entry):
    """Everything that defines one training and its measurement.

    Attributes:
        preset, method_options: values of the method's options; the latter win.
        initial: weights that the backbone starts from: "imagenet" (torchvision's weights for it),
            another recipe's backbone by the recipe's name, or None for random weights.
        parts: the same for further pretrained networks inside the method, by their names.
        dataset: name of its layout.
        proposals: options of the object proposals that it learns from, over the settings'.
        metric: the one that the row is about.
        deviations: subject (start weights, say) to where the recipe does not follow what the
            paper did; for people, nothing depends on it. What follows from how a recipe is run
            is not here.
    """

    quoted: Literal[False] = False
    method: str
    preset: str | None = None
    method_options: Overrides = Field(default={})
    backbone: str
    initial: str | None = None
    parts: dict[str, str] = Field(default={})
    proposals: ProposalOverrides = Field(default={})
    splits: Splits = Splits()
    metric: str
    train: TrainOptions = TrainOptions()
    evaluation: Evaluation = Evaluation()
    deviations: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _check_metric(self) -> Recipe:
        numbers = [number.metric for number in self.published]
        if numbers and self.metric not in numbers:
            raise PydanticCustomError(
                "metric",
                "metric '{metric}' must be one of those published: {numbers}",
                {"metric": self.metric, "numbers": ", ".join(numbers)},
            )
        return self
