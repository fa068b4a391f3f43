"""Interleaved timing of several ways to the same result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

import torch


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch to one thread, and give it back what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Rounds(NamedTuple):
    """Times of some ways that took turns, in seconds, by way and round."""

    seconds: dict[str, list[float]]

    def ms(self) -> dict[str, float]:
        """Median of the rounds of each way, in milliseconds."""
        return {name: 1000 * median(values) for name, values in self.seconds.items()}

    def ratio(self, baseline: str, way: str) -> float:
        """Time of the baseline over that of a way: the median of the rounds.

        What slows the machine for a while slows both of a round, so it changes no ratio much.
        """
        pairs = zip(self.seconds[baseline], self.seconds[way], strict=True)
        return median(slow / fast for slow, fast in pairs)


def interleaved(ways: Mapping[str, Callable[[], object]], repeats: int) -> Rounds:
    """Time each way once in every round, in CPU time of the thread.

    Call it inside `one_torch_thread`: the time of other threads is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.thread_time()
            way()
            seconds[name].append(time.thread_time() - start)
    return Rounds(seconds)
