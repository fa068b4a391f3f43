"""Search spaces: samples lie in them and in order, and what is declared are real options."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import ConfigError
from workloads.localization.cutoffs import STORED_MAPS_SPACE, Cutoffs
from workloads.methods.registry import METHODS
from workloads.space import Choice, Range, Space
from workloads.training.options import TRAINING_SPACE, TrainOptions

SEEDS = st.integers(0, 2**32 - 1)
RANGES = st.builds(
    lambda low, width, scale, integer: Range(
        round(low) if integer else low, round(low + width + 1) if integer else low + width + 0.5,
        scale, integer,
    ),
    st.floats(1, 50), st.floats(0, 50), st.sampled_from(["linear", "log"]), st.booleans(),
)  # fmt: skip


@given(domain=st.one_of(st.none(), RANGES), share=st.floats(0, 1))
def test_every_share_of_a_range_lies_in_it(domain: Range | None, share: float) -> None:
    domain = domain or Range(3, 3)
    assert domain.at(share) in domain
    assert domain.at(0) == pytest.approx(domain.low)
    assert domain.at(1) == pytest.approx(domain.high)
    assert isinstance(domain.at(share), int) or not domain.integer


def test_a_log_scale_is_even_over_orders_of_magnitude() -> None:
    assert Range(0.001, 10, "log").grid(5) == pytest.approx([0.001, 0.01, 0.1, 1, 10])
    assert Range(1, 4, integer=True).grid(9) == [1, 2, 3, 4]
    assert Range(0, 1).grid(1) == [0.5]


@given(seed=SEEDS)
def test_samples_keep_every_order_without_rejection(seed: int) -> None:
    """A chain whose ranges overlap: drawn on their own, most triples would be out of order."""
    space = Space(
        {"c": Range(0, 1), "a": Range(0.2, 2), "b": Range(0, 1), "n": Choice((1, None))},
        below=(("a", "b"), ("b", "c")),
    )
    values = space.sample(np.random.default_rng(seed))
    assert values["a"] < values["b"] < values["c"]
    assert values in space
    assert list(values) == ["c", "a", "b", "n"]


@given(seed=SEEDS)
def test_whole_numbers_keep_their_order_too(seed: int) -> None:
    space = Space(
        {"low": Range(1, 9, integer=True), "high": Range(1, 3, integer=True)},
        below=(("low", "high"),),
    )
    values = space.sample(np.random.default_rng(seed))
    assert 1 <= values["low"] < values["high"] <= 3


def test_the_same_generator_gives_the_same_samples() -> None:
    space = METHODS["spg"].search_space
    first, second = (space.sample(np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_a_grid_is_every_combination_in_order() -> None:
    space = Space({"low": Range(0, 1), "high": Range(0, 1)}, below=(("low", "high"),))
    assert list(space.grid(3)) == [
        {"low": 0, "high": 0.5}, {"low": 0, "high": 1}, {"low": 0.5, "high": 1},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(2, 1), "low <= high"),
        (lambda: Range(0, float("inf")), "finite"),
        (lambda: Range(0, 1, "log"), "log scale starts above 0"),
        (lambda: Choice(()), "no values"),
        (lambda: Space({"low": Range(0, 1)}, (("low", "hihg"),)), "unknown parameter 'hihg'"),
        (lambda: Space({"a": Range(0, 1), "b": Choice((1,))}, (("a", "b"),)), "'b' is a choice"),
        (lambda: Space({"a": Range(2, 3), "b": Range(0, 1)}, (("a", "b"),)), "never below"),
    ],
)
def test_an_impossible_space_is_refused_at_once(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_spaces_are_put_together() -> None:
    both = Space({"a": Range(0, 1)}) | Space({"a": Range(0, 2), "b": Choice((1, 2))})
    assert both.names == ("a", "b")
    assert {"a": 1.5, "b": 2} in both
    assert {"a": 1.5, "c": 2} not in both
    assert both.describe()[0] == {
        "name": "a", "low": 0, "high": 2, "scale": "linear", "below": [],
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_methods_space_is_of_its_options_and_holds_its_presets(name: str) -> None:
    method = METHODS[name]
    space, options = method.search_space, method.options_type
    assert set(space.names) <= set(options.model_fields)
    for preset in ({}, *method.presets.values()):
        given_options = options.parse(preset, name).model_dump()
        searched = {n: v for n, v in given_options.items() if n in space.names}
        assert searched in space, preset
    rng = np.random.default_rng(0)
    for _ in range(50):
        options.parse(space.sample(rng), name)


@pytest.mark.parametrize(
    ("space", "options"), [(TRAINING_SPACE, TrainOptions), (STORED_MAPS_SPACE, Cutoffs)]
)
def test_common_spaces_are_of_real_options(space: Space, options: type) -> None:
    assert set(space.names) <= set(options.model_fields)
    rng = np.random.default_rng(0)
    for _ in range(200):
        options.parse(space.sample(rng), "sample")
