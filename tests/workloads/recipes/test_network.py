"""The network of a recipe, the card beside it, and a training by the recipe in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import Digits, make_digits
from workloads.errors import ConfigError
from workloads.methods.registry import build_method
from workloads.models.version import check_card, load_network, save_model
from workloads.recipes.describe import describe
from workloads.recipes.network import input_size, new_network, outline
from workloads.recipes.schema import Recipe
from workloads.recipes.train import train
from workloads.shards.ingest import ingest
from workloads.shards.shards import Shards


def recipe(**changes: Any) -> Recipe:
    facts: dict[str, Any] = {
        "name": "made", "summary": "x", "dataset": "digits", "method": "cam", "backbone": "tiny",
        "metric": "gt_known",
        "train": {"epochs": 2, "batch_size": 8, "image_size": 32, "crop_margin": 0, "seed": 3,
                  "validation_images": 4},
    }  # fmt: skip
    return Recipe.parse({**facts, **changes}, "recipe made")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder / "tree", DigitsOptions(train=16, val=4, test=1))
    return ingest(Digits(folder / "tree"), folder / "shards", ("train", "val"))


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


def test_the_card_describes_the_network_it_came_from() -> None:
    made = recipe(
        train={"fit": "pad", "image_size": 32, "crop_margin": 0},
        evaluation={"cutoffs": {"cutoff": 0.25, "box_rule": "all"}},
    )
    method = new_network(made, "multilabel", 2)
    together = np.array([[1.0, 0.5], [0.25, 1.0]])
    card = describe(method, made, ["a", "b"], together, {"run": "r", "recipe": "someone else's"})
    check_card(card, method)
    assert card.cooccurrence == ((1.0, 0.5), (0.25, 1.0))
    assert (card.preprocessing.size, card.preprocessing.fit) == (32, "pad")
    assert (card.preprocessing.mean, card.preprocessing.std) == (
        method.backbone.mean, method.backbone.std,
    )  # fmt: skip
    assert (card.cutoffs.cutoff, card.cutoffs.box_rule) == (0.25, "all")
    assert card.provenance == {"run": "r", "recipe": "made"}


def test_training_twice_gives_one_model_and_tells_each_epoch(
    shards: Shards, tmp_path: Path
) -> None:
    given = {"backbone": None}
    told: list[dict[str, float]] = []
    one = train(recipe(), shards, tmp_path / "a", initial=given, on_epoch=told.append)
    other = train(recipe(), shards, tmp_path / "b", initial=given)
    short = train(recipe(), shards, tmp_path / "c", initial=given, epochs=1)
    assert one.digest == other.digest != short.digest
    assert len(told) == 2
    assert one.card.classes == shards.classes
    np.testing.assert_array_equal(one.card.cooccurrence, shards.cooccurrence("train"))
    loaded, card = load_network(one.folder, one.card), one.card
    check_card(card, loaded)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "recipe 'made': part 'backbone' needs weights; give initial={'backbone': PATH}, "
             "or None for random ones"),
        ({"backbon": None}, "initial: unknown part 'backbon'; did you mean 'backbone'? "
                            "(allowed: backbone)"),
    ],
)  # fmt: skip
def test_weights_that_are_not_given_are_never_silently_random(
    given: dict[str, Path | None], message: str, shards: Shards, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(recipe(initial="imagenet"), shards, tmp_path / "m", initial=given)
    assert str(caught.value) == message
    assert not (tmp_path / "m").exists()


def test_what_the_recipe_leaves_random_need_not_be_given(shards: Shards, tmp_path: Path) -> None:
    train(recipe(), shards, tmp_path / "m", epochs=1).verify()
