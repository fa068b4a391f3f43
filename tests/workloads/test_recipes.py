"""Every recipe names things that exist, and its network can be built."""

from __future__ import annotations

import pytest

from workloads.backbones import BACKBONES
from workloads.datasets import DATASETS
from workloads.errors import ConfigError
from workloads.methods import build_method
from workloads.metrics import METRICS
from workloads.recipes import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_can_be_built(name: str) -> None:
    recipe = load_recipe(name)
    task = DATASETS[recipe.dataset].task
    method = build_method(
        recipe.method, recipe.backbone, 3, task, recipe.preset, recipe.method_options
    )
    assert method.backbone.out_channels == BACKBONES[recipe.backbone].out_channels
    assert recipe.metric in METRICS
    if recipe.initial:
        assert load_recipe(recipe.initial).backbone == recipe.backbone


def test_an_unknown_recipe_has_a_nearest_match() -> None:
    with pytest.raises(ConfigError, match="did you mean 'digits-cam-tiny'"):
        load_recipe("digits-cam-tinny")
