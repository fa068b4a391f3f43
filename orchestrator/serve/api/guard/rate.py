"""Requests per second of each client: a bucket of tokens that fills again at a steady rate."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

BURST_S = 2.0
"""Seconds' worth of requests that may come at once."""

_MOST_CLIENTS = 10_000


class RateLimit:
    """The buckets of all clients of this process.

    Args:
        per_s: requests per second.
        clock: seconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._most = max(1.0, per_s * BURST_S)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take a token. 0 if there was one, else seconds until there will be."""
        now = self._clock()
        tokens, before = self._buckets.pop(client, (self._most, now))
        tokens = min(self._most, tokens + (now - before) * self._per_s)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_s
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > _MOST_CLIENTS:  # the one that was quiet for longest
            self._buckets.popitem(last=False)
        return wait
