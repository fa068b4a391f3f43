"""Options of the search on stored maps; the configuration holds these, so they load quickly."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator

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

    @field_validator("cutoff_range", "alpha_range")
    @classmethod
    def _from_low_to_high(cls, limits: tuple[float, float]) -> tuple[float, float]:
        low, high = limits
        if not 0 <= low <= high < math.inf:
            raise ValueError("must be two numbers of at least 0, the lower one first")
        return limits

    @property
    def alpha_values(self) -> tuple[float, ...]:
        """The weights to try, ascending, 0 among them."""
        return tuple(sorted({0.0, *Range(*self.alpha_range).grid(self.alphas)}))
