"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

from workloads.errors import WsolError


def until(seen: Callable[[], bool], patience_s: float) -> None:
    """Wait until something is seen.

    Raises:
        WsolError: it was not, for so long.
    """
    end = time.monotonic() + patience_s
    while not seen():
        if time.monotonic() > end:
            raise WsolError(f"nothing seen after {patience_s:g} s; is the machine very busy?")
        time.sleep(0.02)
