"""The search space of a recipe as a user changes it, and recipes at its points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads.errors import ConfigError, NotFound
from workloads.methods.registry import METHODS
from workloads.recipes.load import load_recipe, recipe_names
from workloads.recipes.space import (
    own_values,
    read_changes,
    recipe_space,
    start,
    varied,
    with_values,
)
from workloads.space import Choice, Range

SPG = load_recipe("digits-spg-tiny")
ACOL = load_recipe("digits-acol-tiny")
THRESHOLDS = ("attention_low", "b2_low", "fused_low", "attention_high", "b2_high", "fused_high")
ONE_OF_EACH = {load_recipe(name).method: name for name in recipe_names() if "digits" in name}


def test_a_space_is_narrowed_widened_fixed_and_added_to() -> None:
    changes = {
        "learning_rate": {"high": 0.01},
        "b2_high": {"low": 0.2, "high": 0.95},
        "weight_decay": 0.001,
        "batch_size": [16, 32],
        "clip_norm": {"low": 0.5, "high": 5, "scale": "log"},
        "cutoff": {"high": 0.5},
    }
    space = recipe_space(SPG, changes)
    assert space.training["learning_rate"] == Range(1e-4, 0.01, "log")
    assert space.training["b2_high"] == Range(0.2, 0.95)
    assert space.training["weight_decay"] == Range(0.001, 0.001)
    assert space.training["batch_size"] == Choice((16, 32))
    assert space.training["clip_norm"] == Range(0.5, 5, "log")
    assert space.stored_maps["cutoff"] == Range(0.05, 0.5)
    assert "weight_decay" not in varied(space.training)


def test_a_method_s_own_option_wins_over_a_cut_off_of_the_same_name() -> None:
    space = recipe_space(ACOL, {"threshold": [0.6, 0.7]})
    assert space.training["threshold"] == Choice((0.6, 0.7))
    assert "threshold" not in space.stored_maps


def test_only_some_are_searched_and_the_others_stay_as_the_recipe_has_them() -> None:
    space = recipe_space(SPG, only=["*_low", "*_high"]).training
    assert varied(space) == THRESHOLDS
    drawn = space.sample(np.random.default_rng(0))
    assert drawn["learning_rate"] == SPG.train.learning_rate
    assert space.contains(drawn)


def test_constraints_hold_beside_a_fixed_value() -> None:
    space = recipe_space(SPG, {"b2_high": 0.35}, only=["b2_*"]).training
    for seed in range(50):
        values = space.sample(np.random.default_rng(seed))
        assert values["b2_high"] == 0.35
        assert float(values["b2_low"]) <= 0.30  # type: ignore[arg-type]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_has_recipes_at_all_points_and_its_own_are_one(method: str) -> None:
    recipe = load_recipe(ONE_OF_EACH[method])
    space = recipe_space(recipe).training
    own = start(recipe, space)
    assert own is not None
    again = with_values(recipe, own)
    assert own_values(again) == own_values(recipe)
    for seed in range(5):
        values = space.sample(np.random.default_rng(seed))
        found = own_values(with_values(recipe, values))
        assert {name: found[name] for name in values} == values


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lerning_rate": 0.1}, "unknown parameter 'lerning_rate'; did you mean 'learning_rate'"),
        ({"epochs": [1, 2]}, "epochs is not for searching"),
        ({"learning_rate": {"low": 1}}, "low must be at most high"),
        ({"clip_norm": {"low": 1}}, "no high; give both ends"),
        ({"b2_low": {"low": 0.1, "hig": 0.2}}, "unknown key 'hig'; did you mean 'high'"),
        ({"b2_low": 0.6, "b2_high": 0.5}, "b2_low is at least 0.6 and could be at most 0.45"),
        ({"batch_size": [0, 8]}, "batch_size: Input should be greater than or equal to 1"),
        ({"batch_size": []}, "a choice of no values"),
        (dict.fromkeys(("learning_rate", "weight_decay"), 0.001), None),
    ],
)
def test_an_impossible_space_is_refused_in_one_line(
    changes: dict[str, Any], said: str | None
) -> None:
    if said is None:  # all but these are searched
        assert varied(recipe_space(SPG, changes).training) == THRESHOLDS
        return
    with pytest.raises(ConfigError) as refused:
        recipe_space(SPG, changes, where="space.yaml")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_space_of_one_point_and_patterns_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="every parameter has one value"):
        recipe_space(SPG, {"learning_rate": 0.1}, only=["learning_rate"])
    with pytest.raises(ConfigError, match="unknown parameter 'b3_low'; did you mean 'b2_low'"):
        recipe_space(SPG, only=["b3_low"])


def test_a_file_of_changes(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    with pytest.raises(NotFound, match="no such file"):
        read_changes(file)
    file.write_text("learning_rate: {low: 0.001, high: 0.1}\nbatch_size: [16, 32]\n")
    assert read_changes(file)["batch_size"] == [16, 32]
    for text, said in (("", "must hold keys"), ("- a", "must hold keys"), ("a: [", "YAML")):
        file.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_changes(file)
