"""The job that this process belongs to, as its keeper says in the environment."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from orchestrator.engine.leases import ATTEMPT_VARIABLE, JOB_VARIABLE
from orchestrator.jobs.record import Job
from workloads.errors import WsolError
from workloads.storage.addresses import shown

JOB_TAG = "wsol.job"
"""The tag of an MLflow run that has the name of its job."""

FOLDER_VARIABLE = "WSOL_JOB_FOLDER"


def current_job() -> Job | None:
    """The job around this process; None if it was started by hand."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Job(Path(folder)) if folder else None


def current_attempt() -> int:
    """Number of this start of the verb, from 1."""
    return int(os.environ.get(ATTEMPT_VARIABLE, "1"))


def note_tracking_run(run_id: str) -> None:
    """Tell the record of the job around this process, if there is one, its first MLflow run."""
    job = current_job()
    if job is None:
        return
    with suppress(OSError, WsolError):  # the work goes on without it
        job.change(lambda r: r if r.tracking_run else r.model_copy(update={"tracking_run": run_id}))


def environment(job: Job, attempt: int) -> dict[str, str]:
    """Variables by which the verb of a job, and its workers, know that they are in it."""
    return {
        JOB_VARIABLE: job.name,
        FOLDER_VARIABLE: shown(job.folder),
        ATTEMPT_VARIABLE: str(attempt),
    }
