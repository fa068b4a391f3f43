"""Deviations from a paper's protocol: those of the recipe, and those of its run."""

from __future__ import annotations

from pathlib import Path

from orchestrator.config.settings import Data
from orchestrator.pipeline.deviations import deviations
from workloads.recipes.load import load_recipe
from workloads.recipes.miniature import miniature

USED = {"train_split": "train", "val_split": "val", "test_split": "test"}


def test_a_full_run_says_what_the_recipe_says() -> None:
    recipe = load_recipe("toolkit-t2-acol-vgg16-cub")
    data = Data(root=Path("in"), **USED)
    assert recipe.deviations
    assert deviations(recipe, recipe, data, {}) == recipe.deviations


def test_a_miniature_and_given_weights_are_said() -> None:
    recipe = load_recipe("spg-t1-spg")
    data = Data(root=None, **{**USED, "test_split": "val"})
    found = deviations(recipe, miniature(recipe), data, {})
    assert found["epochs"] == "1 for 4"
    assert found["network"] == "tiny for inception_v3"
    assert found["start weights of backbone"] == "random for imagenet"
    assert found["images"] == "digits made in the layout of ilsvrc"
    assert found["cut-off"] == "chosen on the reported split, val"
    given = deviations(recipe, recipe, data, {"backbone": "w.pth"})
    assert given["start weights of backbone"] == "w.pth for imagenet"
