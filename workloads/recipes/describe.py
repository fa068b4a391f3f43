"""The card of a network that a recipe trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import Method
from workloads.methods.registry import METHODS
from workloads.models.card import ModelCard, Preprocessing
from workloads.recipes.network import input_size
from workloads.recipes.schema import Recipe

WITHOUT_CUTOFF = frozenset(
    {
        "classification_map",
        "classification_map_11pt",
        "top1_error",
        "top5_error",
        "pointing",
        "pointing_diff",
        "pointing_map",
        "pointing_map_11pt",
        "object_energy",
    }
)
"""Metrics that no cut-off changes."""


def given_cutoffs(recipe: Recipe) -> dict[str, JsonValue]:
    """The cut-offs that are not searched: those of the method's preset, and the recipe's own."""
    of_presets = METHODS[recipe.method].preset_cutoffs
    return {**of_presets.get(recipe.preset or "", {}), **recipe.evaluation.cutoffs}


def chooses_on_reported(recipe: Recipe) -> bool:
    """Whether its number depends on a cut-off that is chosen on the very split it is reported on.

    Points, class scores and proposals need no cut-off.
    """
    given = Cutoffs.parse(given_cutoffs(recipe), "recipe's cut-offs")
    searched = "cutoff" not in given.model_fields_set and given.threshold == "fixed"
    same = recipe.splits.val == recipe.splits.test
    return searched and same and recipe.metric not in WITHOUT_CUTOFF


def describe(
    method: Method,
    recipe: Recipe,
    classes: Sequence[str],
    cooccurrence: NDArray[np.float64],
    provenance: Mapping[str, JsonValue] | None = None,
) -> ModelCard:
    """Everything that a model version is beside its weights, with untuned thresholds.

    Args:
        cooccurrence: (K, K) p(i | j) over the training images.
        provenance: where the weights came from; the recipe's name is always there.
    """
    return ModelCard(
        method=recipe.method,
        method_options=method.options.model_dump(mode="json"),
        backbone=recipe.backbone,
        task=method.task,
        classes=tuple(classes),
        preprocessing=Preprocessing(
            size=input_size(recipe),
            fit=recipe.train.fit,
            ten_crop_margin=recipe.evaluation.ten_crop_margin,
            mean=method.backbone.mean,
            std=method.backbone.std,
        ),
        cutoffs=Cutoffs.parse(given_cutoffs(recipe), "recipe's cut-offs"),
        cooccurrence=tuple(tuple(row) for row in cooccurrence.tolist()),
        provenance={**(provenance or {}), "recipe": recipe.name},
    )
