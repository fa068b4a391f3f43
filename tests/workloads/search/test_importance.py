"""Importance of parameters: known shares, and honest about what few trials cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.search.importance import importances
from workloads.space import Choice, Range, Space

SPACE = Space({"rate": Range(0, 1), "noise": Range(0, 1), "rule": Choice(("a", "b"))})


def points(n: int, seed: int = 0) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(n)]  # type: ignore[misc]


def test_a_choice_that_decides_everything_explains_everything() -> None:
    some = points(12)
    first = importances(SPACE, some, [float(p["rule"] == "a") for p in some])[0]
    assert (first.name, first.is_told) == ("rule", True)
    assert first.share == pytest.approx(1)


def test_a_best_value_in_the_middle_is_seen() -> None:
    some = points(40)
    found = {
        one.name: one
        for one in importances(SPACE, some, [-((float(p["rate"]) - 0.5) ** 2) for p in some])  # type: ignore[arg-type]
    }
    assert found["rate"].is_told
    assert found["rate"].share > 0.9
    assert not found["noise"].is_told


def test_shares_by_hand() -> None:
    """Two groups of three."""
    space = Space({"rule": Choice(("a", "b"))})
    some = [{"rule": rule} for rule in "aaabbb"]
    (one,) = importances(space, some, [0, 0.5, 1, 1, 1.5, 2])
    # Means 0.5 and 1.5 around 1: 6 x 0.25 of 2.5 in all.
    assert one.share == pytest.approx(1.5 / 2.5)


def test_few_trials_tell_nothing() -> None:
    some = points(4)
    assert importances(SPACE, some, [0.1, 0.2, 0.3, 0.4]) == ()
    told = [
        one.is_told
        for seed in range(30)
        for one in importances(SPACE, points(8, seed), np.random.default_rng(seed).random(8))
    ]
    assert np.mean(told) < 0.15  # 5 in 100 by definition


def test_equal_values_explain_nothing() -> None:
    assert all(one.share == 0 for one in importances(SPACE, points(8), [0.5] * 8))
