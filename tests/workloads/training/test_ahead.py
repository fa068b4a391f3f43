"""Values made ahead are the same values, and leave nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.training.ahead import ahead_of


@given(values=st.lists(st.integers(), max_size=20), most=st.integers(0, 3))
def test_they_are_the_same_in_the_same_order(values: list[int], most: int) -> None:
    assert list(ahead_of(iter(values), most)) == values


@pytest.mark.parametrize("most", [0, 2])
def test_an_error_comes_in_its_place(most: int) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    values = ahead_of(failing(), most)
    assert next(values) == 1
    with pytest.raises(ValueError, match="the second"):
        next(values)


def test_no_more_than_asked_for_are_made_ahead() -> None:
    made = threading.Semaphore(0)

    def counted() -> Iterator[int]:
        for value in range(10):
            made.release()
            yield value

    values = ahead_of(counted(), 2)
    assert next(values) == 0
    for _ in range(4):  # the one that was taken, two that wait, and one that would
        assert made.acquire(timeout=5)
    assert not made.acquire(timeout=0.3)
    values.close()


def test_closing_ends_the_thread_and_closes_the_values() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    values = ahead_of(endless(), 2)
    next(values)
    values.close()
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "batches-ahead"]
