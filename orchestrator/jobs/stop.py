"""Stopping a job: through its record, which works without its cluster, and through Ray."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from orchestrator.jobs.record import Job, Record
from workloads.errors import ClusterError

PATIENCE_S = 10.0  # for a job that ends at once
_LOOK_S = 0.2


class Stops(Protocol):
    """The order to a cluster."""

    def stop(self, submission: str) -> None:
        """Tell a running one to end."""


def stop(job: Job, connect: Callable[[], Stops], patience_s: float = PATIENCE_S) -> Record:
    """The record, in the end or soon after. A job that waits is stopped at once.

    Ray does not stop a job that has not started; ours looks at its record when it does, and
    leaves. A running one reads the wish in its record if its cluster cannot be reached from here.
    """
    record = job.ask_to_stop("stopped by its user")
    if not record.submissions:
        return record
    with suppress(ClusterError):
        connect().stop(record.submissions[-1])
    until = time.monotonic() + patience_s
    while not record.is_over and time.monotonic() < until:
        time.sleep(_LOOK_S)
        record = job.read()
    return record
