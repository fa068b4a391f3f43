"""Bases and the keys above them, and rows that cannot be had."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import ConfigError
from workloads.recipes.load import load_quotation, merged, quotation_names, recipe_names, with_bases

TREES = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
).filter(lambda tree: isinstance(tree, dict))


@given(TREES)
def test_nothing_above_or_below_changes_nothing(tree: dict[str, Any]) -> None:
    assert merged(tree, {}) == merged({}, tree) == merged(tree, tree) == tree


@given(TREES, TREES)
def test_what_is_above_is_found_again(below: dict[str, Any], above: dict[str, Any]) -> None:
    def holds(tree: dict[str, Any], part: dict[str, Any]) -> bool:
        return all(
            holds(tree[k], v) if isinstance(v, dict) else tree[k] == v for k, v in part.items()
        )

    both = merged(below, above)
    assert holds(both, above)
    assert both.keys() == below.keys() | above.keys()
    assert merged(both, above) == both


def test_bases_of_bases_lie_lowest() -> None:
    bases = {"low": {"a": 1, "t": {"x": 1, "y": 1, "z": 1}}, "mid": {"base": "low", "t": {"x": 2}}}
    own = {"base": "mid", "t": {"y": 3}}
    assert with_bases(own, bases, "f") == {"a": 1, "t": {"x": 2, "y": 3, "z": 1}}
    assert own == {"base": "mid", "t": {"y": 3}}
    assert bases["low"]["t"] == {"x": 1, "y": 1, "z": 1}


def test_a_circle_is_shown_as_it_is_walked() -> None:
    bases = {"x": {"base": "y"}, "y": {"base": "x"}}
    with pytest.raises(ConfigError) as caught:
        with_bases({"base": "x"}, bases, "recipe r")
    assert str(caught.value) == "recipe r: bases in a circle: x -> y -> x"


def test_a_name_is_either_trained_or_quoted() -> None:
    assert not set(recipe_names()) & set(quotation_names())
    assert recipe_names() == sorted(recipe_names())


def test_a_recipe_is_no_quotation() -> None:
    with pytest.raises(ConfigError, match=f"^recipe {recipe_names()[0]}: "):
        load_quotation(recipe_names()[0])
