"""A recipe in miniature: the same method, data layout and measure on made digits, in a minute.

What makes a row of a paper expensive is its network, its images and its epochs. The miniature
replaces these and nothing else, so that every line of code behind the row runs.
"""

from __future__ import annotations

from typing import Any

from workloads.methods.registry import METHODS
from workloads.recipes.describe import given_cutoffs
from workloads.recipes.schema import Recipe

NETWORK = "tiny"  # of the backbone, and of the preset that every method has for it
TRAIN: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 16,
    "image_size": None,
    "crop_margin": 6,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "schedule": "cosine",
    "step_epochs": (),
    "warmup_epochs": 0.5,
    "validation_images": 64,
}
# Tolerances and smallest boxes are meant for photographs of about 500 pixels; digits have 64.
PIXELS = 64 / 500
CROP_MARGIN = 8


def miniature(recipe: Recipe) -> Recipe:
    """The recipe on the small backbone, from random weights, for one epoch.

    The method's preset for that backbone decides widths, sizes and scales. Of the recipe's own
    options the others are kept, its ablations among them.
    """
    decided = METHODS[recipe.method].presets[NETWORK]
    kept = {k: v for k, v in recipe.method_options.items() if k not in decided}
    evaluation = recipe.evaluation.model_copy(update=_smaller(recipe))
    return recipe.model_copy(
        update={
            "preset": NETWORK,
            "backbone": NETWORK,
            "method_options": kept,
            "initial": None,
            "parts": dict.fromkeys(recipe.parts, "random"),
            "train": recipe.train.model_copy(update=TRAIN),
            "evaluation": evaluation,
        }
    )


def _smaller(recipe: Recipe) -> dict[str, Any]:
    """Sizes in pixels of an evaluation, scaled to small images."""
    cutoffs = given_cutoffs(recipe)
    if isinstance(least := cutoffs.get("min_box_px"), int | float):
        cutoffs["min_box_px"] = least * PIXELS
    margin = recipe.evaluation.ten_crop_margin
    return {"cutoffs": cutoffs, "ten_crop_margin": None if margin is None else CROP_MARGIN}
