"""Train a recipe in this process, from shards to a sealed model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from pydantic import JsonValue

from workloads.errors import ConfigError, unknown_name
from workloads.images.decode import ImageLimits
from workloads.models.model import Model
from workloads.models.version import save_model
from workloads.proposals.proposals import Proposals
from workloads.recipes.describe import describe
from workloads.recipes.load import load_recipe
from workloads.recipes.network import input_size, new_network, outline
from workloads.recipes.schema import Recipe
from workloads.recipes.shipped import shipped
from workloads.shards.shards import Shards
from workloads.training.on_shards import TrainingData, training_on


def train(
    recipe: Recipe | str,
    shards: Shards,
    out: Path,
    *,
    splits: tuple[str, str] = ("train", "val"),
    epochs: int | None = None,
    initial: Mapping[str, Path | None] | None = None,
    proposals: Proposals | None = None,
    limits: ImageLimits | None = None,
    device: str = "cpu",
    provenance: Mapping[str, JsonValue] | None = None,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
) -> Model:
    """A trained model with untuned thresholds.

    Args:
        recipe: a recipe or its name.
        out: the model's folder.
        splits: to learn from, and to validate on.
        epochs: instead of the recipe's.
        initial: pretrained part to a model folder or a weights file; None for random weights.
            What is left out starts from the model that is shipped of the recipe it names.
        proposals: for methods that learn from them.
        provenance: what the model's card says of its origin, beside the recipe's name.
        on_epoch: is told the metrics of each epoch.

    Raises:
        ConfigError: a part's weights are neither given nor shipped nor random by the recipe.
        NotFound: no such recipe or split.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if epochs is not None:
        options = chosen.train.model_copy(update={"epochs": epochs})
        chosen = chosen.model_copy(update={"train": options})
    weights = _weights(chosen, shards.task, initial or {})
    data = TrainingData(shards, input_size(chosen), *splits, limits or ImageLimits(), proposals)
    network = new_network(chosen, shards.task, len(shards.classes), weights)
    training = training_on(data, network, chosen.train, torch.device(device))
    for metrics in training.epochs():
        on_epoch(metrics)
    together = shards.cooccurrence(splits[0])
    card = describe(training.method, chosen, shards.classes, together, provenance)
    save_model(out, training.method, card)
    return Model.open(out)


def _weights(recipe: Recipe, task: str, given: Mapping[str, Path | None]) -> dict[str, Path]:
    """The files of every part that does not start from random weights."""
    named = {"backbone": recipe.initial, **recipe.parts}
    parts = outline(recipe, task).pretrained_parts()
    for part in given:
        if part not in parts:
            raise ConfigError(f"initial: {unknown_name('part', part, parts)}")
    found = {part: path for part, path in given.items() if path is not None}
    for part in parts:
        if part in given or (source := named.get(part, "")) is None:
            continue
        if folder := shipped(source):
            found[part] = folder
        else:
            raise ConfigError(
                f"recipe '{recipe.name}': part '{part}' needs weights; give initial={{'{part}': "
                "PATH}, or None for random ones"
            )
    return found
