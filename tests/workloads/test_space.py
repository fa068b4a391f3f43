"""Search spaces: samples, grids and nearest points lie inside, whatever the constraints."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workloads.errors import ConfigError
from workloads.space import Below, Choice, Range, Space

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def ranges(draw) -> Range:
    scale = draw(st.sampled_from(["linear", "log"]))
    integer = draw(st.booleans())
    least = 1 if scale == "log" else -50
    ends = st.integers(least, 50) if integer else st.floats(least / 10, 50)
    low, high = sorted((draw(ends), draw(ends)))
    return Range(low, high, scale, integer)


@st.composite
def chains(draw) -> Space:
    """Up to four ranges of any kind, each below the next one, and a choice between them."""
    names = [f"p{i}" for i in range(draw(st.integers(2, 4)))]
    parameters: dict[str, Range | Choice] = {name: draw(ranges()) for name in names}
    parameters["which"] = Choice(("a", None))
    parameters = {name: parameters[name] for name in draw(st.permutations(list(parameters)))}
    gap = st.floats(0.01, 5)
    pairs = pairwise(names)
    constraints = tuple(Below(lower, upper, draw(gap)) for lower, upper in pairs)
    try:
        return Space(parameters, constraints)
    except ConfigError:
        assume(False)
        raise


@given(ranges(), SEEDS)
def test_samples_of_a_range_are_inside(parameter, seed):
    rng = np.random.default_rng(seed)
    drawn = [parameter.sample(rng) for _ in range(20)]
    assert all(parameter.contains(value) for value in drawn)
    assert {type(value) for value in drawn} == {int if parameter.integer else float}


@given(ranges(), st.integers(1, 12))
def test_a_grid_of_a_range_is_inside_ascending_and_has_its_ends(parameter, n):
    grid = parameter.grid(n)
    assert all(parameter.contains(value) for value in grid)
    assert list(grid) == sorted(set(grid))
    assert len(grid) <= n
    if n > 1:
        assert grid[0] == pytest.approx(parameter.low)
        assert grid[-1] == pytest.approx(parameter.high)


@given(ranges(), st.floats(-100, 100))
def test_clipping_goes_to_the_nearest_number(parameter, value):
    clipped = parameter.clipped(value)
    assert parameter.contains(clipped)
    assert parameter.clipped(clipped) == clipped
    if parameter.low <= value <= parameter.high:
        assert abs(clipped - value) <= (0.5 if parameter.integer else 0.0)
    else:
        assert clipped == (parameter.low if value < parameter.low else parameter.high)


def test_grids_follow_the_scale():
    assert Range(0.0, 1.0).grid(3) == (0.0, 0.5, 1.0)
    assert Range(0.01, 1.0, "log").grid(3) == pytest.approx((0.01, 0.1, 1.0))
    assert Range(1, 100, "log", integer=True).grid(3) == (1, 10, 100)
    assert Range(1, 3, integer=True).grid(9) == (1, 2, 3)
    assert Range(0.01, 1.0, "log").grid(1) == pytest.approx((0.1,))
    assert Choice(("a", "b")).grid(1) == ("a", "b")


def test_samples_are_uniform_on_the_scale():
    rng = np.random.default_rng(0)
    logs = [math.log10(Range(1e-4, 1e-1, "log").sample(rng)) for _ in range(4000)]
    counts = np.histogram(logs, bins=3, range=(-4, -1))[0]
    assert counts == pytest.approx([4000 / 3] * 3, rel=0.1)
    dice = [Range(1, 6, integer=True).sample(rng) for _ in range(6000)]
    assert np.bincount(dice)[1:] == pytest.approx([1000] * 6, rel=0.15)
    drawn = [Choice(("a", "b")).sample(rng) for _ in range(1000)]
    assert drawn.count("a") == pytest.approx(500, rel=0.2)


@given(chains(), SEEDS)
def test_a_sample_satisfies_every_constraint(space, seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        values = space.sample(rng)
        assert list(values) == list(space)
        assert space.contains(values)


@given(chains())
def test_a_grid_satisfies_every_constraint(space):
    points = list(space.grid(3))
    assert points
    assert all(space.contains(values) for values in points)
    assert len({tuple(values.items()) for values in points}) == len(points)


@given(chains(), st.lists(st.floats(-100, 100), min_size=4, max_size=4))
def test_the_nearest_point_is_inside_and_stays(space, numbers):
    wanted = dict(zip(sorted(set(space) - {"which"}), numbers, strict=False))
    clipped = space.clipped({**wanted, "which": "a"})
    assert space.contains(clipped)
    assert space.clipped(clipped) == pytest.approx(clipped, abs=1e-9)


@given(chains(), SEEDS)
def test_what_is_inside_is_its_own_nearest_point(space, seed):
    values = space.sample(np.random.default_rng(seed))
    assert space.clipped(values) == pytest.approx(values, abs=1e-9)


def test_equal_seeds_give_equal_samples():
    space = Space(
        {"a": Range(0, 1), "b": Choice((1, 2, 3)), "c": Range(0, 1)}, (Below("c", "a", 0.1),)
    )
    first, second = (space.sample(np.random.default_rng(7)) for _ in range(2))
    assert first == second
    assert first["a"] >= first["c"] + 0.1


def test_every_part_of_a_constrained_space_is_reached():
    space = Space({"low": Range(0, 1), "high": Range(0, 1)}, (Below("low", "high", 0.01),))
    rng = np.random.default_rng(0)
    points = np.asarray([list(space.sample(rng).values()) for _ in range(2000)])
    counts = np.histogram2d(*points.T, bins=4, range=[[0, 1], [0, 1]])[0]
    assert (counts[np.triu_indices(4)] > 0).all()
    assert counts[np.tril_indices(4, -1)].sum() == 0


def test_a_grid_of_a_space_is_all_combinations():
    space = Space({"a": Range(0, 1), "b": Choice(("x", "y"))})
    assert list(space.grid(2)) == [{"a": a, "b": b} for a in (0.0, 1.0) for b in ("x", "y")]
    with pytest.raises(ConfigError, match="at least 1"):
        space.grid(0)


def test_contains_looks_at_kinds_values_and_constraints():
    space = Space(
        {
            "n": Range(1, 9, integer=True),
            "x": Range(0, 1),
            "y": Range(0, 1),
            "c": Choice((None, "a")),
        },
        (Below("x", "y", 0.1),),
    )
    fine = {"n": 3, "x": 0.2, "y": 0.3, "c": None}
    assert space.contains(fine)
    wrong = [{"n": 3.5}, {"n": 10}, {"n": True}, {"x": "0.2"}, {"x": math.nan}, {"c": "b"}]
    for change in [*wrong, {"y": 0.25}, {"x": -0.1}]:
        assert not space.contains({**fine, **change}), change
    assert not space.contains({"n": 3})
    with pytest.raises(ConfigError, match="unknown parameter 'nn'; did you mean 'n'"):
        space.contains({**fine, "nn": 1})


def test_clipping_needs_a_value_for_each_parameter():
    space = Space({"a": Range(0, 1), "b": Choice((1, 2))})
    with pytest.raises(ConfigError, match="no value for b"):
        space.clipped({"a": 3})
    with pytest.raises(ConfigError, match="3 is not among the choices; allowed: 1, 2"):
        space.clipped({"a": 3, "b": 3})
    with pytest.raises(ConfigError, match="'x' is no number; give one from 0 to 1"):
        space.clipped({"a": "x", "b": 1})


@pytest.mark.parametrize(
    ("low", "high", "options", "message"),
    [
        (2, 1, {}, "low must be at most high"),
        (0, 1, {"scale": "log"}, "needs low above 0"),
        (-1, 1, {"scale": "log"}, "needs low above 0"),
        (0, math.inf, {}, "finite"),
        (math.nan, 1, {}, "finite"),
        (0.5, 3, {"integer": True}, "whole numbers"),
    ],
)
def test_an_impossible_range_is_refused(low, high, options, message):
    with pytest.raises(ConfigError, match=f"range .*{message}"):
        Range(low, high, **options)


def test_an_empty_choice_is_refused():
    with pytest.raises(ConfigError, match="at least one"):
        Choice(())


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ([Below("lo", "high", 0.1)], "unknown parameter 'lo'; did you mean 'low'"),
        ([Below("low", "hihg", 0.1)], "unknown parameter 'hihg'; did you mean 'high'"),
        ([Below("low", "which", 0.1)], "which is a choice"),
        (
            [Below("low", "high", 1.5)],
            r"\+ 1.5 <= high: low is at least 0 and could be at most -0.5",
        ),
        ([Below("low", "high", 0.1), Below("high", "low", 0.1)], "a circle"),
        ([Below("low", "low", 0.1)], "a circle"),
        (
            [Below("low", "mid", 0.6), Below("mid", "high", 0.6)],
            r"<= mid, mid .* <= high: low is at least 0",
        ),
    ],
)
def test_an_impossible_space_is_refused(constraints, message):
    parameters = {name: Range(0, 1) for name in ("low", "mid", "high")}
    with pytest.raises(ConfigError, match=message):
        Space({**parameters, "which": Choice((1,))}, tuple(constraints))


@pytest.mark.parametrize("gap", [0, -1, math.nan, math.inf])
def test_a_gap_is_above_zero(gap):
    with pytest.raises(ConfigError, match="gap must be a number above 0"):
        Below("low", "high", gap)


def test_whole_numbers_have_room_above_each_other():
    numbers = Range(1, 3, integer=True)
    space = Space(dict.fromkeys("abc", numbers), (Below("a", "b", 1), Below("b", "c", 1)))
    assert list(space.grid(5)) == [{"a": 1, "b": 2, "c": 3}]
    assert space.clipped({"a": 3, "b": 3, "c": 1}) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(ConfigError, match="a is at least 1 and could be at most 0; widen a range"):
        Space(dict.fromkeys("abcd", numbers), tuple(Below(*pair, 1) for pair in ("ab", "bc", "cd")))


def test_a_space_describes_itself_as_json():
    space = Space(
        {"a": Range(1, 8, "log", integer=True), "b": Range(0, 9), "c": Choice((None, (1, 2)))},
        (Below("a", "b", 0.5),),
    )
    assert json.loads(json.dumps(space.describe(), allow_nan=False)) == {
        "parameters": {
            "a": {"low": 1, "high": 8, "scale": "log", "integer": True},
            "b": {"low": 0, "high": 9, "scale": "linear", "integer": False},
            "c": {"values": [None, [1, 2]]},
        },
        "constraints": ["a + 0.5 <= b"],
    }
