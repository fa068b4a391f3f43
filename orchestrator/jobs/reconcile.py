"""Records and clusters together: jobs that are lost, and what waiting ones wait for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from orchestrator.jobs.ray_jobs import Capacity, RayJob, RayState
from orchestrator.jobs.record import Jobs, Record, now
from orchestrator.jobs.states import NOT_STARTED, JobState

_SETTLING_S = 10.0  # in which the record of a job that ended may still be written
_LOG = ", last available logs"  # what Ray puts behind its reason, up to 20,000 letters
_ENDED = frozenset({RayState.SUCCEEDED, RayState.FAILED, RayState.STOPPED})


def lost_because(record: Record, ray: RayJob | None, at: str | None = None) -> str | None:
    """Why a job that is not over can never end by itself; None if it still may.

    Args:
        ray: what the cluster says of its last submission; None if it knows nothing of it.
        at: the present time, ISO-8601.
    """
    if record.is_over or not record.submissions or _seconds_since(record, at) < _SETTLING_S:
        return None
    if ray is None:
        return "the cluster no longer knows it: its head was started anew"
    if ray.state in _ENDED:
        message = ray.message.partition(_LOG)[0]  # the job's log is kept beside its record
        said = f": {message}" if message else ""
        return f"Ray says {ray.state.lower()}, and the job did not say how it ended{said}"
    return None


def waits_for(record: Record, capacity: Capacity, slot: str, others: Iterable[Record]) -> str:
    """The resource that a job waits for, with numbers and who has it."""
    running = [o.name for o in others if o.state in (JobState.RUNNING, JobState.RETRYING)]
    total = capacity.total.get(slot, 0.0)
    if total == 0:
        return f"waits for a job slot; the cluster has none ({slot})"
    busy = f": {', '.join(running[:3])}" if running else ""
    used = capacity.used.get(slot, 0.0)
    return f"waits for a job slot: {used:g} of {total:g} taken{busy}"


def refresh(jobs: Jobs, records: Iterable[Record], known: Mapping[str, RayJob]) -> list[Record]:
    """Records with what their cluster says of them noted; those that it has lost are lost."""
    found: list[Record] = []
    for record in records:
        ray = known.get(record.submissions[-1]) if record.submissions else None
        lost = lost_because(record, ray)
        if lost:
            found.append(jobs.job(record.name).move(JobState.LOST, lost))
        elif record.state is JobState.SUBMITTED and ray and record.state in NOT_STARTED:
            found.append(jobs.job(record.name).move(JobState.WAITING, "taken by the cluster"))
        else:
            found.append(record)
    return found


def _seconds_since(record: Record, at: str | None) -> float:
    then = datetime.fromisoformat(record.last.time)
    return (datetime.fromisoformat(at or now()) - then).total_seconds()
