"""The network of a recipe: as its training starts, or as a mere outline.

Recipes stand above training, which knows options but no recipes; so what needs both is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from workloads.backbones.registry import BACKBONES
from workloads.backbones.weights import load_weights
from workloads.files import is_folder
from workloads.methods.base import Method
from workloads.methods.registry import build_method
from workloads.recipes.schema import Recipe
from workloads.training.checkpoints import load_initial


def new_network(
    recipe: Recipe, task: str, classes: int, initial: Mapping[str, Path] | None = None
) -> Method:
    """The network as its training starts: random weights of the recipe's seed, then given ones.

    Args:
        initial: pretrained part to a model folder or a weights file.

    Raises:
        ConfigError: weights that do not fit.
    """
    torch.manual_seed(recipe.train.seed)
    method = _build(recipe, task, classes)
    parts = method.pretrained_parts()
    for part, source in (initial or {}).items():
        load = load_initial if is_folder(source) else load_weights
        load(parts[part], source)
    return method


def outline(recipe: Recipe, task: str) -> Method:
    """The network without weights, to be asked what it needs: no memory, no time."""
    with torch.device("meta"):
        return _build(recipe, task, 2)  # whatever the classes; one alone has no softmax


def input_size(recipe: Recipe) -> int:
    """Side of the network's input in pixels."""
    return recipe.train.image_size or BACKBONES[recipe.backbone].input_size


def _build(recipe: Recipe, task: str, classes: int) -> Method:
    return build_method(
        recipe.method, recipe.backbone, classes, task, recipe.preset, recipe.method_options
    )
