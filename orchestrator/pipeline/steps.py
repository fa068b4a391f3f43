"""Steps that `wsol run` and `wsol reproduce` have in common; each can be repeated for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import RunPaths, Workspace
from orchestrator.data.make import made_names, make
from orchestrator.ingest import ingest
from orchestrator.proposals import propose
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.initial import initial_weights, pretraining
from orchestrator.train.spec import needs_proposals
from orchestrator.train.train import train
from workloads.artifacts import digest
from workloads.datasets.registry import DATASETS
from workloads.errors import ConfigError
from workloads.recipes.load import load_recipe
from workloads.recipes.schema import Recipe
from workloads.shards.manifest import read_shard_manifest


def ingested(
    settings: Settings, dataset: str, root: Path, splits: Sequence[str] = ()
) -> dict[str, Any]:
    """Shards in the workspace, one folder for each data set on disk and choice of splits."""
    key = digest({"root": str(root), "dataset": dataset, "splits": list(splits)})[:12]
    out = Workspace(settings.workspace).shards(f"{dataset}-{key}")
    result = ingest(settings, dataset, root, out, splits)
    return {
        "folder": str(result.folder),
        "digest": result.digest,
        "listed": result.listed,
        "read": result.read,
        "quarantined": result.quarantined,
    }


def trained(
    settings: Settings,
    recipe: Recipe,
    shards: Path,
    paths: RunPaths,
    tracker: Tracker,
    initial: Mapping[str, str] | None = None,
    epochs: int | None = None,
    parent: str | None = None,
) -> dict[str, Any]:
    """A finished training, continued if it was stopped; see `train` for the arguments.

    Object proposals are made first if the recipe learns from them, once for all recipes that do.
    """
    proposals = None
    if needs_proposals(recipe, read_shard_manifest(shards).task):
        proposals = propose(settings, shards, [settings.job.data.train_split])
    result = train(
        settings,
        recipe,
        shards,
        paths,
        resume=True,
        epochs=epochs,
        initial=initial,
        proposals=proposals,
        parent=parent,
        tracker=tracker,
    )
    return {
        "model": str(result.model),
        "digest": result.digest,
        "metrics": result.metrics,
        "tracking_run": result.tracking_run,
    }


def check_weights(recipe: Recipe, dataset: str, initial: Mapping[str, str]) -> None:
    """Look for all weights that a training starts from, before hours are spent on images.

    Args:
        dataset: what it is trained on.
        initial: as in `make_spec`.

    Raises:
        ConfigError, NotFound, IntegrityError: as `initial_weights` and `pretrainable`.
    """
    later = pretraining(recipe, initial)
    for start in later.values():
        pretrainable(start)
    initial_weights(recipe, DATASETS[dataset].task, initial, later)


def pretrainable(name: str) -> Recipe:
    """A recipe that others start from and that is trained on the way.

    Raises:
        ConfigError: it is trained on a real data set.
    """
    recipe = load_recipe(name)
    if recipe.dataset not in made_names():
        raise ConfigError(
            f"weights of recipe '{name}' are needed, which is trained on {recipe.dataset}: train "
            "or reproduce that first, and give its model folder with --initial"
        )
    return recipe


def pretrained(
    settings: Settings,
    name: str,
    paths: RunPaths,
    tracker: Tracker,
    epochs: int | None = None,
    parent: str | None = None,
) -> dict[str, Any]:
    """The model of a recipe that others start from, on a data set that the project makes.

    Raises:
        ConfigError: as `pretrainable`.
    """
    recipe = pretrainable(name)
    made = ingested(settings, recipe.dataset, make(settings, recipe.dataset).root)
    shards = Path(made["folder"])
    return trained(settings, recipe, shards, paths, tracker, epochs=epochs, parent=parent)
