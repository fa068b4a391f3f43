"""The recipes of a pipeline as its report shows them, read once from their runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import PipelinePaths
from orchestrator.tracking.events import learning_curves
from workloads.artifacts import read_json
from workloads.models.card import ModelCard
from workloads.models.version import read_card
from workloads.recipes.own import recipe_name
from workloads.recipes.schema import Recipe


@dataclass(frozen=True, slots=True)
class Method:
    """One recipe.

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


def read_methods(settings: Settings, paths: PipelinePaths, champion: str) -> list[Method]:
    """All recipes, the champion first, the others as the settings name them."""
    recipes = map(recipe_name, settings.pipeline.recipes)
    names = sorted(recipes, key=lambda name: name != champion)
    return [_read(name, paths, settings.data.test_split) for name in names]


def _read(name: str, paths: PipelinePaths, split: str) -> Method:
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
