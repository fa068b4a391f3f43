"""The states of a job, and the exit code that each final one has."""

from __future__ import annotations

from enum import StrEnum

from workloads.errors import EXIT_STOPPED, EXIT_TIMED_OUT, ClusterError


class JobState(StrEnum):
    """State of a job between its submission and its end."""

    SUBMITTED = "submitted"  # recorded; the cluster has not taken it yet
    WAITING = "waiting"  # the cluster has it, and starts it when there is room
    RUNNING = "running"
    RETRYING = "retrying"  # lost its infrastructure; begins again after a pause
    SUCCEEDED = "succeeded"  # exit code 0, or 3: some inputs were quarantined
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    LOST = "lost"  # its infrastructure is gone and no retry is left


TERMINAL = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.STOPPED,
        JobState.TIMED_OUT,
        JobState.LOST,
    }
)
"""States that only `wsol jobs resume` leaves."""

NOT_STARTED = frozenset({JobState.SUBMITTED, JobState.WAITING})

_CODES = {
    JobState.SUCCEEDED: 0,
    JobState.FAILED: 1,
    JobState.STOPPED: EXIT_STOPPED,
    JobState.TIMED_OUT: EXIT_TIMED_OUT,
    JobState.LOST: ClusterError.exit_code,
}


def exit_code(state: JobState, of_verb: int | None) -> int:
    """The code with which a wait for the job ends.

    Args:
        state: a final one.
        of_verb: the code of the verb that the job ran, which a job that ran to its end has.
    """
    ran = state in (JobState.SUCCEEDED, JobState.FAILED)
    return of_verb if ran and of_verb is not None else _CODES[state]
