"""Recipes as a report holds them, straight from values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.pages.pipeline.methods import Method
from workloads.localization.cutoffs import Cutoffs
from workloads.models.card import ModelCard, Preprocessing
from workloads.recipes.schema import Recipe

CLASSES = ("cat", "dog", "owl")


def made_card(classes: tuple[str, ...] = CLASSES, **cutoffs: Any) -> ModelCard:
    """A card of no model in particular, whose classes have nothing in common."""
    return ModelCard(
        method="cam",
        method_options={},
        backbone="tiny",
        task="multilabel",
        classes=classes,
        preprocessing=Preprocessing(size=8, mean=(0, 0, 0), std=(1, 1, 1)),
        cutoffs=Cutoffs(**cutoffs),
        cooccurrence=tuple(tuple(float(i == j) for j in classes) for i in classes),
        provenance={},
    )


def made_method(
    name: str,
    metrics: dict[str, Any] | None = None,
    search: dict[str, Any] | None = None,
    epochs: list[dict[str, float]] | None = None,
    card: ModelCard | None = None,
    initial: str | None = None,
) -> Method:
    """One recipe of a report; `metrics` are those of `wsol evaluate`."""
    recipe = Recipe(
        name=name, summary="made up", method="cam", backbone="tiny", initial=initial,
        dataset="digits", metric="box_f1",
    )  # fmt: skip
    nothing = {"metric": "box_f1", "trials": [], "curve": {"cutoffs": [0.5], "gt_known": [0.5]}}
    results = {"metrics": metrics or {}, "model": "e" * 64}
    return Method(
        name, recipe, card or made_card(), results, search or nothing, epochs or [], Path(name)
    )
