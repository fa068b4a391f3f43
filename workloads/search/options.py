"""Options of the search on stored maps; the configuration holds these, so they load quickly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator

from workloads.errors import ConfigError, unknown_name
from workloads.localization.cutoffs import FOUND_EXACTLY, Cutoffs
from workloads.options import Options
from workloads.space import Range

SearchMetric = Literal["box_f1", "gt_known", "classification_map"]


class SearchOptions(Options):
    """The search of the cut-off and the co-occurrence weight."""

    metric: SearchMetric = Field(default="box_f1", description="what the search maximises")
    cutoff_range: tuple[float, float] = Field(
        default=(0.05, 0.8),
        description="cut-offs, relative to the normalised map; all in it are tried",
    )
    alpha_range: tuple[float, float] = Field(
        default=(0.0, 0.5), description="co-occurrence weights"
    )
    alphas: int = Field(
        default=26, ge=1, description="weights to try, evenly over alpha_range; 0 beside them"
    )
    per_class: bool = Field(
        default=False, description="a cut-off for each class where that gains, drawn to all's"
    )
    rules: dict[str, tuple[JsonValue, ...]] = Field(
        default={},
        description="further cut-offs to try, as in box_rule: [largest, all]; each combination is "
        "searched as a whole, the first of equally good ones wins",
    )

    @field_validator("cutoff_range", "alpha_range")
    @classmethod
    def _from_low_to_high(cls, limits: tuple[float, float]) -> tuple[float, float]:
        low, high = limits
        if not 0 <= low <= high < math.inf:
            raise ValueError("must be two numbers of at least 0, the lower one first")
        return limits

    @field_validator("rules")
    @classmethod
    def _are_of_cutoffs(cls, rules: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        allowed = Cutoffs.model_fields.keys() - FOUND_EXACTLY
        for name, values in rules.items():
            if name in FOUND_EXACTLY:
                raise ValueError(f"{name} is searched as a whole; narrow it by its range")
            if name not in allowed:
                raise ValueError(unknown_name("cut-off", name, allowed))
            if not values:
                raise ValueError(f"{name} has no value to try; list some")
        for chosen in combinations(rules):
            try:
                Cutoffs.parse(chosen, "rules")
            except ConfigError as error:
                raise ValueError(str(error).removeprefix("rules: ")) from None
        return rules

    @property
    def alpha_values(self) -> tuple[float, ...]:
        """The weights to try, ascending, 0 among them."""
        return tuple(sorted({0.0, *Range(*self.alpha_range).grid(self.alphas)}))


def combinations(rules: dict[str, tuple[JsonValue, ...]]) -> Iterator[dict[str, JsonValue]]:
    """One value for each rule, in every combination; one empty one without rules."""
    for values in itertools.product(*rules.values()):
        yield dict(zip(rules, values, strict=True))
