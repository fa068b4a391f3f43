"""Points that a search tries: inside the space, by number, and the same after a stop."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.errors import ConfigError
from workloads.search.suggestions import SUGGESTIONS, Results
from workloads.space import Below, Choice, Range, Space, Values

SPACE = Space(
    {
        "low": Range(0.01, 0.4, "log"),
        "high": Range(0.3, 0.9),
        "batch": Range(8, 64, "log", integer=True),
        "rule": Choice((None, (1, 2), "x")),
    },
    (Below("low", "high", 0.05),),
)
START: Values = {"low": 0.1, "high": 0.5, "batch": 32, "rule": "x"}


def value_of(values: Values) -> float:
    """Best in a corner of the space: TPE is to find it."""
    return -abs(float(values["low"]) - 0.38) - abs(float(values["high"]) - 0.45)  # type: ignore[arg-type]


def searched(name: str, trials: int, seed: int, results: Results | None = None) -> Results:
    kind = SUGGESTIONS[name](SPACE, seed, START, values_each=2)
    found = dict(results or {})
    for number in range(len(found), trials):
        values = kind.suggest(number, found)
        if values is None:
            break
        found[number] = (values, value_of(values))
    return found


@pytest.mark.parametrize("name", SUGGESTIONS)
def test_points_are_in_the_space_and_a_search_that_was_stopped_goes_on_as_before(name: str) -> None:
    whole = searched(name, 8, seed=3)
    assert whole[0][0] == START
    assert all(SPACE.contains(values) for values, _ in whole.values())
    half = {number: whole[number] for number in range(4)}
    assert searched(name, 8, seed=3, results=half) == whole


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_another_seed_gives_other_points(name: str) -> None:
    one, other = searched(name, 3, seed=0), searched(name, 3, seed=1)
    assert one[0] == other[0]
    assert one[1] != other[1]


def test_a_grid_ends_after_every_combination_and_has_the_start_once() -> None:
    found = searched("grid", 1000, seed=0)
    points = [values for values, _ in found.values()]
    assert len(points) == 1 + 2 * 2 * 2 * 3
    assert points.count(START) == 1
    kind = SUGGESTIONS["grid"](SPACE, start=points[1], values_each=2)  # one of its own points
    assert kind.suggest(2 * 2 * 2 * 3 - 1, {}) is not None
    assert kind.suggest(2 * 2 * 2 * 3, {}) is None


def test_trials_that_run_are_no_reason_to_wait() -> None:
    begun = dict.fromkeys(range(6), (START, None))
    values = SUGGESTIONS["tpe"](SPACE).suggest(6, begun)
    assert values is not None
    assert SPACE.contains(values)


def test_tpe_does_better_than_chance() -> None:
    """Median of the best of 25 over three seeds."""
    best = {
        name: np.median([max(v for _, v in searched(name, 25, s).values()) for s in range(3)])
        for name in ("random", "tpe")
    }
    assert best["tpe"] > best["random"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match="needs the package optuna"):
        SUGGESTIONS["tpe"](SPACE)


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_shares_are_the_inverse_of_points(seed: int) -> None:
    values = SPACE.sample(np.random.default_rng(seed))
    again = SPACE.at(SPACE.shares(values))
    assert again["rule"] == values["rule"]
    assert again["batch"] == values["batch"]
    assert [again[n] for n in ("low", "high")] == pytest.approx(
        [values[n] for n in ("low", "high")]
    )
