"""Options of the search on stored maps; the configuration holds these, so they load quickly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workloads.options import Options

SearchMetric = Literal["box_f1", "gt_known", "classification_map"]


class SearchOptions(Options):
    """The search of the cut-off and the co-occurrence weight."""

    trials: int = Field(default=30, ge=1, description="trials per method")
    seed: int = Field(default=0, description="seed of the random trials")
    metric: SearchMetric = Field(default="box_f1", description="what a trial maximises")
    cutoff_range: tuple[float, float] = Field(
        default=(0.05, 0.8), description="cut-offs, relative to the normalised map"
    )
    alpha_range: tuple[float, float] = Field(
        default=(0.0, 0.5), description="co-occurrence weights"
    )
    per_class: bool = Field(
        default=False, description="a cut-off for each class where that gains, drawn to all's"
    )
