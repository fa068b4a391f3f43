"""The record of a job: its name is used once, its history is whole, two writers lose nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from made_job import make_job, request

from orchestrator.jobs.record import Jobs, Record
from orchestrator.jobs.states import NOT_STARTED, TERMINAL, JobState, exit_code
from workloads.errors import Conflict, IntegrityError, NotFound


def test_a_new_job_is_submitted_and_has_its_settings(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    record = job.read()
    assert (record.name, record.state, record.attempt) == ("night", JobState.SUBMITTED, 0)
    assert job.settings.exists()


def test_a_name_is_used_once_even_after_its_end(tmp_path: Path) -> None:
    make_job(tmp_path).move(JobState.FAILED, "exit code 1")
    with pytest.raises(Conflict, match=r"a name is used once.*jobs resume night"):
        make_job(tmp_path)


def test_an_unknown_job_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no job 'day'"):
        Jobs(tmp_path).job("day").read()


def test_each_change_of_state_has_a_time_and_a_reason(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    job.move(JobState.WAITING, "taken by the cluster")
    job.move(JobState.RUNNING, "attempt 1 on here", 1)
    record = job.move(JobState.SUCCEEDED, "exit code 0")
    assert [(t.state, t.attempt) for t in record.transitions] == [
        (JobState.SUBMITTED, 0),
        (JobState.WAITING, 0),
        (JobState.RUNNING, 1),
        (JobState.SUCCEEDED, 1),
    ]
    assert all(t.time.endswith("+00:00") and t.reason for t in record.transitions)


def test_what_is_over_stays_over(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    job.move(JobState.STOPPED, "stopped")
    assert job.move(JobState.RUNNING, "late", 1).state is JobState.STOPPED


def test_a_waiting_job_is_stopped_at_once_and_a_running_one_is_asked(tmp_path: Path) -> None:
    waiting, running = make_job(tmp_path, "waiting"), make_job(tmp_path, "running")
    running.move(JobState.RUNNING, "attempt 1", 1)
    assert waiting.ask_to_stop("by hand").state is JobState.STOPPED
    asked = running.ask_to_stop("by hand")
    assert (asked.state, asked.stop_asked) == (JobState.RUNNING, True)


def test_writers_at_the_same_moment_lose_nothing(tmp_path: Path) -> None:
    job = make_job(tmp_path)

    def write(number: int) -> None:
        for step in range(10):
            job.move(JobState.RUNNING, f"{number}-{step}", 1)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    reasons = {t.reason for t in job.read().transitions}
    assert reasons == {"submitted", *(f"{n}-{s}" for n in range(4) for s in range(10))}


def test_all_jobs_are_read_oldest_first_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        make_job(tmp_path, name)
    (tmp_path / "b" / "record.json").write_text("{")
    (tmp_path / "notes.txt").write_text("not a job")
    (tmp_path / "empty").mkdir()
    assert [record.name for record in Jobs(tmp_path).read_all()] == ["a", "c"]
    with pytest.raises(IntegrityError, match="no record of a job"):
        Jobs(tmp_path).job("b").read()


def test_only_what_is_over_is_deleted(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    with pytest.raises(Conflict, match="is submitted; stop it first: wsol jobs stop night"):
        Jobs(tmp_path).delete("night")
    job.ask_to_stop("by hand")
    Jobs(tmp_path).delete("night")
    assert list(Jobs(tmp_path).read_all()) == []
    with pytest.raises(NotFound):
        job.read()


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_every_final_state_has_an_exit_code(state: JobState) -> None:
    expected = {"succeeded": 0, "failed": 1, "stopped": 10, "timed_out": 11, "lost": 8}
    assert exit_code(state, None) == expected[state]
    if state in (JobState.SUCCEEDED, JobState.FAILED):
        assert exit_code(state, 3) == 3
    else:
        assert exit_code(state, 3) == expected[state]


def test_states_are_final_or_not_started_or_on_the_way() -> None:
    assert not TERMINAL & NOT_STARTED
    assert set(JobState) - TERMINAL - NOT_STARTED == {JobState.RUNNING, JobState.RETRYING}


@pytest.mark.parametrize("name", ["", "../x", ".x", "a/b", "x" * 65])
def test_a_name_is_one_of_a_folder(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        request(name)


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    record = make_job(tmp_path, retries=3, time_limit_s=60.0, needs={"CPU": 2.0}).read()
    assert Record.model_validate_json(record.model_dump_json()) == record
