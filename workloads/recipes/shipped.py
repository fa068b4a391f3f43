"""Models of recipes that come with the project, so that nobody has to train them first."""

from __future__ import annotations

from pathlib import Path

from workloads.artifacts import digest
from workloads.recipes.schema import Recipe

FOLDER = Path(__file__).parent / "shipped_models"


def recipe_digest(recipe: Recipe) -> str:
    """Names what a recipe trains: a shipped model carries that of its own."""
    return digest(
        recipe.model_dump(
            mode="json",
            exclude_defaults=True,  # so that an option which nobody set yet changes nothing
            include={"method", "preset", "method_options", "backbone", "dataset", "train"},
        )
    )


def shipped(name: str) -> Path | None:
    """The model folder of a recipe that others start from; None: it is not shipped.

    How it was made stands in its card's provenance; `make pretrained` makes it again.
    """
    folder = FOLDER / name
    return folder if folder.is_dir() else None
