"""The network of a recipe, as its training starts or as an outline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from workloads.methods.registry import build_method
from workloads.models.version import save_model
from workloads.recipes.describe import describe
from workloads.recipes.network import input_size, new_network, outline
from workloads.recipes.schema import Recipe


def recipe(**changes: Any) -> Recipe:
    facts: dict[str, Any] = {
        "name": "made", "summary": "x", "dataset": "digits", "method": "cam", "backbone": "tiny",
        "metric": "gt_known",
        "train": {"epochs": 2, "batch_size": 8, "image_size": 32, "crop_margin": 0, "seed": 3,
                  "validation_images": 4},
    }  # fmt: skip
    return Recipe.parse({**facts, **changes}, "recipe made")


def test_weights_follow_the_seed_of_the_recipe_alone() -> None:
    one = new_network(recipe(), "multilabel", 3).state_dict()
    torch.rand(7)
    other = new_network(recipe(), "multilabel", 3).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    differently = recipe(train={"seed": 4})
    third = new_network(differently, "multilabel", 3).state_dict()
    assert not all(torch.equal(one[name], third[name]) for name in one)


def test_given_weights_win_over_random_ones(tmp_path: Path) -> None:
    pretrained = new_network(recipe(train={"seed": 9}), "multilabel", 5)
    card = describe(pretrained, recipe(), "abcde", np.eye(5))
    save_model(tmp_path / "m", pretrained, card)
    method = new_network(recipe(), "multilabel", 3, {"backbone": tmp_path / "m"})
    expected = pretrained.backbone.state_dict()
    for name, tensor in method.backbone.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_an_outline_takes_no_memory_and_knows_the_parts() -> None:
    method = outline(recipe(), "multilabel")
    assert {p.device.type for p in method.parameters()} == {"meta"}
    assert method.pretrained_parts().keys() == {"backbone"}


def test_the_input_is_the_recipes_or_else_the_backbones() -> None:
    assert input_size(recipe()) == 32
    own = build_method("cam", "tiny", 2, "multilabel").backbone.input_size
    assert input_size(recipe(train={})) == own
