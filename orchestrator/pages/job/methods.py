"""What a job left of each method, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import JobPaths
from orchestrator.tracking.events import learning_curves
from workloads.artifacts import read_json
from workloads.models.card import ModelCard
from workloads.models.version import read_card
from workloads.recipes.schema import Recipe


@dataclass(frozen=True, slots=True)
class Method:
    """One recipe of the job.

    Attributes:
        recipe: as it was trained.
        card: of the tuned model.
        results: what `wsol evaluate` said of the test split.
        search: what `wsol tune` said of the validation split.
        epochs: metrics per epoch.
        predictions: folder of the stored predictions of the test split.
    """

    name: str
    recipe: Recipe
    card: ModelCard
    results: dict[str, Any]
    search: dict[str, Any]
    epochs: list[dict[str, float]]
    predictions: Path

    @property
    def made_of(self) -> str:
        """Method, backbone and training in a few words."""
        epochs = f"{self.recipe.train.epochs} epochs"
        start = f", from {self.recipe.initial}" if self.recipe.initial else ""
        return f"{self.recipe.method} on {self.recipe.backbone}, {epochs}{start}"


def read_methods(settings: Settings, paths: JobPaths, champion: str) -> list[Method]:
    """All recipes of the job, the champion first, the others as the job names them."""
    names = sorted(settings.job.recipes, key=lambda name: name != champion)
    return [_read(name, paths, settings.job.data.test_split) for name in names]


def _read(name: str, paths: JobPaths, split: str) -> Method:
    run = paths.run(name)
    return Method(
        name=name,
        recipe=Recipe.parse(read_json(run.spec)["recipe"], str(run.spec)),
        card=read_card(run.tuned_model),
        results=read_json(run.metrics(split)),
        search=read_json(run.search),
        epochs=learning_curves(run.events),
        predictions=run.predictions(split),
    )
