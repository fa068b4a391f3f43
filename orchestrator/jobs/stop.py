"""Stopping a job: through its record, which works without its cluster, and through Ray."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from orchestrator.jobs.record import Job, Record
from workloads.errors import ClusterError

PATIENCE_S = 10.0  # for a job that ends at once
_LOOK_S = 0.2


class Stops(Protocol):
    """The order to a cluster."""

    def stop(self, submission: str) -> None:
        """Tell a running one to end."""


def stop(
    job: Job,
    connect: Callable[[], Stops],
    patience_s: float | None = None,
    say: Callable[[str], None] | None = None,
) -> Record:
    """The record, in the end or soon after. A job that waits is stopped at once.

    Ray does not stop a job that has not started; ours looks at its record when it does, and
    leaves. A running one reads the wish in its record if its cluster cannot be reached from here.

    Args:
        patience_s: for the job to end; None: as long as one does that ends at once.
        say: takes one line for people, if the cluster cannot be told.
    """
    record = job.ask_to_stop("stopped by its user")
    if not record.submissions:
        return record
    try:
        connect().stop(record.submissions[-1])
    except ClusterError as error:
        if say:
            say(f"{error}; the job finds the wish in its record")
    until = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
    while not record.is_over and time.monotonic() < until:
        time.sleep(_LOOK_S)
        record = job.read()
    return record
