"""Ways take turns, and a ratio is that of a usual round."""

from __future__ import annotations

import pytest

from workloads.benchmarks.interleaved import Rounds, interleaved
from workloads.benchmarks.registry import BENCHMARKS


def test_a_round_in_which_the_machine_was_slow_changes_no_ratio() -> None:
    rounds = Rounds({"loop": [4.0, 40.0, 6.0], "pass": [1.0, 8.0, 2.0]})
    assert rounds.ratio("loop", "pass") == 4.0  # of 4, 5 and 3
    assert rounds.ratio("pass", "loop") == 0.25
    assert rounds.ms() == {"loop": 6000.0, "pass": 2000.0}


def test_ways_take_turns() -> None:
    turns: list[str] = []
    ways = {name: lambda name=name: turns.append(name) for name in ("a", "b")}
    found = interleaved(ways, 3)
    assert turns == ["a", "b"] * 3
    assert {name: len(seconds) for name, seconds in found.seconds.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize("name", ["cutoffs", "contours", "protocols"])
def test_quick_measures_the_same_things_as_usual(name: str) -> None:
    report = BENCHMARKS[name]("quick")
    assert report["name"] == name
    assert report["ratio"] > 0
