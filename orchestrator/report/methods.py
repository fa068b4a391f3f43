"""What a job left of each method, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.settings import Settings
from orchestrator.train import learning_curves
from orchestrator.workspace import JobPaths
from workloads.artifacts import read_json
from workloads.localizer import read_card
from workloads.model_card import ModelCard


@dataclass(frozen=True, slots=True)
class Method:
    """One recipe of the job.

    Attributes:
        card: of the tuned model.
        results: what `wsol evaluate` said of the test split.
        search: what `wsol tune` said of the validation split.
        epochs: metrics per epoch.
        predictions: folder of the stored predictions of the test split.
    """

    name: str
    card: ModelCard
    results: dict[str, Any]
    search: dict[str, Any]
    epochs: list[dict[str, float]]
    predictions: Path


def read_methods(settings: Settings, paths: JobPaths, champion: str) -> list[Method]:
    """All recipes of the job, the champion first, the others as the job names them."""
    names = sorted(settings.job.recipes, key=lambda name: name != champion)
    return [_read(name, paths, settings.job.data.test_split) for name in names]


def _read(name: str, paths: JobPaths, split: str) -> Method:
    run = paths.run(name)
    return Method(
        name=name,
        card=read_card(run.tuned_model),
        results=read_json(run.metrics(split)),
        search=read_json(run.search),
        epochs=learning_curves(run.events),
        predictions=run.predictions(split),
    )
