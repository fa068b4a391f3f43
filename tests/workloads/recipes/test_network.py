"""The network of a recipe, as its training starts or as an outline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from made_recipe import made_recipe

from workloads.methods.registry import build_method
from workloads.models.version import save_model
from workloads.recipes.describe import describe
from workloads.recipes.network import input_size, new_network, outline


def test_weights_follow_the_seed_of_the_recipe_alone() -> None:
    one = new_network(made_recipe(), "multilabel", 3).state_dict()
    torch.rand(7)
    other = new_network(made_recipe(), "multilabel", 3).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    differently = made_recipe(train={"seed": 4})
    third = new_network(differently, "multilabel", 3).state_dict()
    assert not all(torch.equal(one[name], third[name]) for name in one)


def test_given_weights_win_over_random_ones(tmp_path: Path) -> None:
    pretrained = new_network(made_recipe(train={"seed": 9}), "multilabel", 5)
    card = describe(pretrained, made_recipe(), "abcde", np.eye(5))
    save_model(tmp_path / "m", pretrained, card)
    method = new_network(made_recipe(), "multilabel", 3, {"backbone": tmp_path / "m"})
    expected = pretrained.backbone.state_dict()
    for name, tensor in method.backbone.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_an_outline_takes_no_memory_and_knows_the_parts() -> None:
    method = outline(made_recipe(), "multilabel")
    assert {p.device.type for p in method.parameters()} == {"meta"}
    assert method.pretrained_parts().keys() == {"backbone"}


def test_the_input_is_the_recipes_or_else_the_backbones() -> None:
    assert input_size(made_recipe()) == 32
    own = build_method("cam", "tiny", 2, "multilabel").backbone.input_size
    assert input_size(made_recipe(train={})) == own
