"""How much of the machine and of the data a reproduction takes."""

from __future__ import annotations

from typing import Literal

from orchestrator.config.settings import Settings
from workloads.datasets.digit_options import DigitsOptions

Scale = Literal["full", "smoke"]

SMOKE_DATA = DigitsOptions(train=256, val=64, test=64, difficult=0.05)


def smoke_settings(settings: Settings) -> Settings:
    """The same machine with few trials and few replicates, on little data."""
    job = settings.job
    search = job.search.model_copy(update={"trials": 4})
    metrics = job.metrics.model_copy(update={"bootstrap": 20})
    data = job.data.model_copy(update={"digits": SMOKE_DATA})
    smaller = job.model_copy(update={"search": search, "metrics": metrics, "data": data})
    return settings.model_copy(update={"job": smaller})
