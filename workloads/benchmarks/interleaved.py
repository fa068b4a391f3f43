"""Interleaved timing of several ways to the same result in torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

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


def interleaved_ms(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Best of some runs of each way, in milliseconds of the thread's CPU time.

    The ways take turns, so that a machine that slows down meanwhile slows all of them. Call it
    inside `one_torch_thread`: the time of other threads is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.thread_time()
            way()
            seconds[name].append(time.thread_time() - start)
    return {name: 1000 * min(values) for name, values in seconds.items()}
