"""Checks of settings that need more than the settings: the names in them."""

from __future__ import annotations

from clusters.cluster import load_cluster
from orchestrator.config.settings import Settings


def check_names(settings: Settings) -> None:
    """Look up every name that the settings use.

    Raises:
        ConfigError: no such cluster, data set or recipe, with the nearest match.
        NotFound: no such file of a recipe.
    """
    from workloads.datasets.registry import DATASETS
    from workloads.recipes.load import load_recipes

    load_cluster(settings.cluster)
    kind = DATASETS[settings.data.dataset]
    kind.options_type.parse(settings.ingest.options, "ingest.options")
    load_recipes(settings.pipeline.recipes, settings.pipeline.recipe_set)
