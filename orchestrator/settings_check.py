"""Checks of settings that need more than the settings: the names in them."""

from __future__ import annotations

import os
from pathlib import Path

from clusters import load_cluster
from orchestrator.settings import CONFIG_FILE, CONFIG_VARIABLE, Settings


def check_names(settings: Settings) -> None:
    """Look up every name that the settings use.

    Raises:
        ConfigError: no such cluster, data set or recipe, with the nearest match.
    """
    from workloads.datasets import DATASETS
    from workloads.recipes import load_recipe

    load_cluster(settings.cluster)
    DATASETS[settings.job.data.dataset]
    for recipe in settings.job.recipes:
        load_recipe(recipe)


def settings_file(given: Path | None) -> Path | None:
    """The file that `load_settings` reads for a given path; None means only defaults."""
    named = given or os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return Path(CONFIG_FILE) if Path(CONFIG_FILE).is_file() else None
