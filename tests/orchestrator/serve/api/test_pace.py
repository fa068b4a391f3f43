"""The pace of answers is that of the last ones, and idle time is no part of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.serve.api.guard.pace import MEMORY, Pace


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def answers(pace: Pace, clock: Clock, *gaps: float) -> None:
    for gap in gaps:
        clock.now += gap
        pace.answered()


def test_nothing_is_known_before_the_first_answer(clock):
    assert Pace(clock).wait_s(1000) == 0


def test_the_wait_is_that_of_all_before(clock):
    pace = Pace(clock)
    answers(pace, clock, 0.2, 0.2, 0.2)
    assert pace.wait_s(10) == pytest.approx(2.0)


def test_idle_time_does_not_count(clock):
    pace = Pace(clock)
    answers(pace, clock, 0.5)
    clock.now += 1000
    pace.busy()
    answers(pace, clock, 0.5)
    assert pace.seconds == pytest.approx(0.5)


def test_answers_in_bursts_have_the_pace_of_the_burst(clock):
    pace = Pace(clock)
    answers(pace, clock, *([0.8, 0, 0, 0, 0, 0, 0, 0] * 30))
    assert pace.seconds == pytest.approx(0.1, rel=0.15)


@given(st.lists(st.floats(0, 10), max_size=100), st.floats(0.01, 10))
def test_old_answers_are_forgotten(before, new):
    clock = Clock()
    pace = Pace(clock)
    answers(pace, clock, *before)
    answers(pace, clock, *[new] * 8 * MEMORY)
    assert pace.seconds == pytest.approx(new, abs=10 * (1 - 1 / MEMORY) ** (8 * MEMORY) + 1e-9)
