"""The miniature of a reproduction: little data, few replicates."""

from __future__ import annotations

from typing import Literal

from orchestrator.config.settings import Settings
from workloads.datasets.digit_options import DigitsOptions

Scale = Literal["full", "smoke"]

SMOKE_DATA = DigitsOptions(train=256, val=64, test=64, difficult=0.05)
REPLICATES = 20


def smoke_settings(settings: Settings) -> Settings:
    """Settings of the same machine for the miniature."""
    metrics = settings.evaluate.metrics.model_copy(update={"bootstrap": REPLICATES})
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(update={"digits": SMOKE_DATA}),
            "evaluate": settings.evaluate.model_copy(update={"metrics": metrics}),
        }
    )
