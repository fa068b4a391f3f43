"""Shipped models are what their recipes train, and recipes start from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workloads.datasets.digits import DigitsOptions, make_digits
from workloads.datasets.registry import open_dataset
from workloads.models.model import Model
from workloads.recipes.load import load_recipe
from workloads.recipes.network import new_network
from workloads.recipes.shipped import FOLDER, recipe_digest, shipped
from workloads.recipes.train import train
from workloads.shards.ingest import ingest

NAMES = sorted(path.name for path in FOLDER.iterdir())
LIMIT = 2 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_small_whole_and_of_its_recipe(name: str) -> None:
    model = Model.open_verified(FOLDER / name)
    recipe = load_recipe(name)
    said = model.card.provenance
    assert sum(path.stat().st_size for path in model.folder.iterdir()) < LIMIT
    assert said["recipe"] == name
    assert said["recipe_digest"] == recipe_digest(recipe), "changed: run make pretrained"
    assert said["dataset"] == recipe.dataset
    assert said["dataset_options"]["train"] > 0
    assert len(said["git_commit"]) == 40


def test_other_recipes_are_not_shipped() -> None:
    assert NAMES
    assert shipped("digits-cam-tiny") is None


def test_a_recipe_starts_from_the_shipped_model_of_the_one_it_names(tmp_path: Path) -> None:
    make_digits(tmp_path / "raw", DigitsOptions(train=40, val=8, test=1))
    shards = ingest(open_dataset("digits", tmp_path / "raw"), tmp_path / "shards")
    recipe = load_recipe("digits-cam-tiny")
    assert recipe.initial in NAMES
    still = recipe.train.model_copy(update={"learning_rate": 1e-12, "epochs": 1})
    model = train(recipe.model_copy(update={"train": still}), shards, tmp_path / "model")
    start = shipped(recipe.initial)
    given = {"backbone": start}
    expected = new_network(recipe, shards.task, len(shards.classes), given).state_dict()
    trained = model.network().state_dict()
    weights = [name for name in trained if name.endswith("weight") and "backbone" in name]
    assert weights
    for name in weights:
        torch.testing.assert_close(trained[name], expected[name])
