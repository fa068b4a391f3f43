"""Options of the search over trainings; the configuration holds these, so they load quickly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workloads.options import Options

SweepMetric = Literal["box_f1", "gt_known", "classification_map", "max_box_acc_v2"]
SearchName = Literal["random", "grid", "tpe"]
StopRule = Literal["none", "asha", "median"]


class SweepOptions(Options):
    """The search over trainings of one recipe."""

    search: SearchName = Field(default="random", description="random, grid, or tpe (Optuna)")
    trials: int = Field(default=16, ge=1, description="trainings, the recipe's own among them")
    seed: int = Field(default=0, description="seed of what is suggested")
    values_each: int = Field(default=3, ge=1, description="values of each range in a grid")
    metric: SweepMetric = Field(
        default="box_f1", description="what is maximised, at each trial's own best cut-offs"
    )
    at_least: dict[SweepMetric, Annotated[float, Field(ge=0, le=1)]] = Field(
        default={}, description="floors of other metrics, as in {classification_map: 0.8}"
    )
    stop: StopRule = Field(
        default="none", description="end trials early: asha or median, by the validation mAP"
    )
    grace_epochs: int = Field(default=1, ge=1, description="epochs before a trial may be ended")
    minutes: float | None = Field(
        default=None, gt=0, description="time after which nothing new begins; null: no limit"
    )
    max_failed: int = Field(default=3, ge=0, description="more failed trials end the sweep")
