"""Following a job from outside: its log, its end, its loss. Leaving never touches the job."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.jobs.logs import DRIVER, LogReader
from orchestrator.jobs.ray_jobs import RayJob
from orchestrator.jobs.reconcile import refresh
from orchestrator.jobs.record import Job, Jobs, Record
from orchestrator.jobs.states import JobState
from workloads.errors import ClusterError, WsolError

LOOK_S = 0.5
ASK_S = 10.0  # between two questions to the cluster whether it still has the job


class Asked(Protocol):
    """The question to a cluster."""

    def known(self) -> dict[str, RayJob]:
        """All submissions that it remembers."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Settings of following a job.

    Attributes:
        connect: the cluster's API; it may fail while the cluster is gone.
        take: what the log says, as it comes; None: it is not shown.
        revive: submit a job again that is lost and has retries left.
        timeout_s: give up waiting then; None: never.
    """

    connect: Callable[[], Asked]
    take: Callable[[bytes], None] | None = None
    reader: LogReader | None = None
    revive: Callable[[Record], Record] | None = None
    timeout_s: float | None = None


def follow(job: Job, watch: Watch) -> Record | None:
    """The record of a job that is over; None if the time to wait was."""
    reader = watch.reader or LogReader(job.logs, DRIVER)
    started, asked = time.monotonic(), 0.0
    while True:
        record = job.read()  # before its log: what it said last is there, too
        if watch.take:
            for data in reader.new():
                watch.take(data)
        if record.is_over:
            revived = _revived(record, watch)
            if revived is None:
                return record
        elif time.monotonic() - asked >= ASK_S:
            asked = time.monotonic()
            ask(job, record, watch.connect)
        if watch.timeout_s is not None and time.monotonic() - started >= watch.timeout_s:
            return None
        time.sleep(LOOK_S)


def ask(job: Job, record: Record, connect: Callable[[], Asked]) -> Record:
    """The record, after its cluster was asked; a cluster that does not answer changes nothing."""
    try:
        known = connect().known()
    except ClusterError:
        return record
    return refresh(Jobs(job.folder.parent), [record], known)[0]


def _revived(record: Record, watch: Watch) -> Record | None:
    left = record.request.retries + 1 - len(record.submissions)
    if record.state is not JobState.LOST or watch.revive is None or left <= 0:
        return None
    try:
        return watch.revive(record)
    except WsolError:  # the cluster is not back yet
        return None
