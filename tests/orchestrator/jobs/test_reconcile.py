"""What a record and Ray say together: lost jobs are seen, living ones left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_job import make_job

from clusters.base import JOB_SLOT
from orchestrator.jobs.ray_jobs import Capacity, RayJob, RayState, _ray_name
from orchestrator.jobs.reconcile import lost_because, refresh, waits_for
from orchestrator.jobs.record import Job, Jobs, Record
from orchestrator.jobs.states import JobState

LATER = "2099-01-01T00:00:00+00:00"


def submitted(job: Job, state: JobState | None = None) -> Record:
    job.change(lambda r: r.model_copy(update={"submissions": ("ray-1",)}))
    return job.move(state, "told", 1) if state else job.read()


def test_a_cluster_that_knows_nothing_of_a_job_has_lost_it(tmp_path: Path) -> None:
    record = submitted(make_job(tmp_path), JobState.RUNNING)
    assert "head was started anew" in (lost_because(record, None, LATER) or "")


@pytest.mark.parametrize("state", [RayState.FAILED, RayState.STOPPED, RayState.SUCCEEDED])
def test_a_job_that_ended_without_saying_so_is_lost(tmp_path: Path, state: RayState) -> None:
    record = submitted(make_job(tmp_path), JobState.RUNNING)
    reason = lost_because(record, RayJob(state, "node died"), LATER) or ""
    assert state.lower() in reason
    assert reason.endswith("node died")


def test_the_log_of_a_job_is_no_part_of_the_reason(tmp_path: Path) -> None:
    record = submitted(make_job(tmp_path), JobState.RUNNING)
    message = "Job entrypoint command failed with exit code 137, last available logs (truncated "
    message += "to 20,000 chars): train 1/2 images"
    reason = lost_because(record, RayJob(RayState.FAILED, message), LATER) or ""
    assert reason.endswith("failed with exit code 137")


@pytest.mark.parametrize("state", [RayState.PENDING, RayState.RUNNING])
def test_a_living_job_is_not_lost(tmp_path: Path, state: RayState) -> None:
    record = submitted(make_job(tmp_path), JobState.RUNNING)
    assert lost_because(record, RayJob(state, ""), LATER) is None


def test_a_job_that_just_moved_may_still_be_writing(tmp_path: Path) -> None:
    record = submitted(make_job(tmp_path), JobState.RUNNING)
    assert lost_because(record, RayJob(RayState.FAILED, "")) is None


def test_what_is_over_or_never_reached_ray_is_not_lost(tmp_path: Path) -> None:
    over = submitted(make_job(tmp_path, "over"), JobState.FAILED)
    assert lost_because(over, None, LATER) is None
    assert lost_because(make_job(tmp_path, "new").read(), None, LATER) is None


def test_refresh_notes_what_the_cluster_took(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    record = submitted(job)
    known = {"ray-1": RayJob(RayState.PENDING, "")}
    assert refresh(Jobs(tmp_path), [record], known)[0].state is JobState.WAITING
    assert job.read().state is JobState.WAITING


def test_a_waiting_job_says_for_what_and_who_has_it(tmp_path: Path) -> None:
    running = submitted(make_job(tmp_path, "first"), JobState.RUNNING)
    waiting = submitted(make_job(tmp_path, "second"), JobState.WAITING)
    full = Capacity({JOB_SLOT: 1.0}, {JOB_SLOT: 1.0})
    said = waits_for(waiting, full, JOB_SLOT, [running, waiting])
    assert said == "waits for a job slot: 1 of 1 taken: first"
    none = waits_for(waiting, Capacity({}, {}), JOB_SLOT, [])
    assert none == f"waits for a job slot; the cluster has none ({JOB_SLOT})"


@pytest.mark.parametrize(
    ("answered", "name"),
    [
        ("wsolJobSlot", JOB_SLOT),
        ("CPU", "CPU"),
        ("GPU", "GPU"),
        ("objectStoreMemory", "object_store_memory"),
        ("node:10.0.0.1", "node:10.0.0.1"),
    ],
)
def test_names_of_resources_are_rays_own(answered: str, name: str) -> None:
    assert _ray_name(answered) == name
