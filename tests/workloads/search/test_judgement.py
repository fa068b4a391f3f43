"""Floors of metrics come before the metric that is maximised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import ConfigError, WsolError
from workloads.search.judgement import judged
from workloads.search.sweep_options import SweepOptions

SHARE = st.floats(0, 1)
FLOORS = {"b": 0.5, "c": 0.2}


def test_without_floors_it_is_the_metric() -> None:
    assert judged({"a": 0.3, "b": 0.1}, "a", {}) == 0.3


def test_what_is_short_of_floors_is_their_sum() -> None:
    assert judged({"a": 0.9, "b": 0.4, "c": 0.05}, "a", FLOORS) == pytest.approx(-0.25)
    assert judged({"a": 0.9, "b": 0.5, "c": 0.2}, "a", FLOORS) == 0.9


@given(*[st.fixed_dictionaries({"a": SHARE, "b": SHARE, "c": SHARE})] * 2)
def test_whatever_reaches_the_floors_is_no_worse(one: dict, other: dict) -> None:
    reaches = [all(m[name] >= floor for name, floor in FLOORS.items()) for m in (one, other)]
    first, second = (judged(m, "a", FLOORS) for m in (one, other))
    if reaches == [True, False]:
        assert first > second
    if reaches == [True, True]:
        assert (first > second) == (one["a"] > other["a"])


def test_a_metric_without_a_case_is_said() -> None:
    with pytest.raises(WsolError, match=r"metric b has no case .* or sweep\.at_least"):
        judged({"a": 0.5}, "a", {"b": 0.1})


def test_floors_are_of_metrics_and_shares() -> None:
    with pytest.raises(ConfigError, match=r"at_least\.classification_map: .*less than or equal"):
        SweepOptions.parse({"at_least": {"classification_map": 1.5}}, "sweep")
    with pytest.raises(ConfigError, match="at_least"):
        SweepOptions.parse({"at_least": {"box_f2": 0.5}}, "sweep")
