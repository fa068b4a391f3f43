"""A recipe for tests: a tiny CAM that trains in a moment."""

from __future__ import annotations

from typing import Any

from workloads.recipes.schema import Recipe


def made_recipe(**changes: Any) -> Recipe:
    """The recipe with some of its keys changed."""
    facts: dict[str, Any] = {
        "name": "made", "summary": "x", "dataset": "digits", "method": "cam", "backbone": "tiny",
        "metric": "gt_known",
        "train": {"epochs": 2, "batch_size": 8, "image_size": 32, "crop_margin": 0, "seed": 3,
                  "validation_images": 4},
    }  # fmt: skip
    return Recipe.parse({**facts, **changes}, "recipe made")
