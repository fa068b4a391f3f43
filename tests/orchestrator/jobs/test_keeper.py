"""The keeper of a job with real processes: ends, retries, stops, limits; a killed keeper."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from made_job import make_job

from orchestrator.jobs.keeper import Keeper, is_lost, pause_s, words_of
from orchestrator.jobs.logs import DRIVER, LogReader
from orchestrator.jobs.record import Job
from orchestrator.jobs.states import JobState

PYTHON = (sys.executable, "-S", "-c")


def keep(job: Job, code: str, grace_s: float = 5.0) -> int:
    """Keep a job whose verb is a few lines of Python; they get its words behind them."""
    return Keeper(job, program=(*PYTHON, code), grace_s=grace_s, first_pause_s=0.01).keep()


def log_of(job: Job) -> str:
    return b"".join(LogReader(job.logs, DRIVER).new()).decode()


def test_a_verb_that_succeeds(tmp_path: Path) -> None:
    """Its answer is the result, and what it says the log."""
    job = make_job(tmp_path)
    code = "import sys; sys.stderr.write('working\\n'); print('{\"digest\": \"0\"}')"
    assert keep(job, code) == 0
    record = job.read()
    assert (record.state, record.exit_code) == (JobState.SUCCEEDED, 0)
    assert json.loads(job.result.read_text())["digest"] == "0"
    assert log_of(job) == "working\n"
    assert job.heartbeat.exists()


def test_a_verb_knows_its_job_and_its_settings(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    code = (
        "import os; print(os.environ['WSOL_JOB_FOLDER'], os.environ['WSOL_JOB_ATTEMPT'],"
        " open(os.environ['WSOL_CONFIG']).read())"
    )
    keep(job, code)
    folder, attempt, settings = job.result.read_text().split(maxsplit=2)
    assert (Path(folder), attempt) == (job.folder, "1")
    assert json.loads(settings) == {"workspace": str(tmp_path)}


def test_quarantined_inputs_are_no_failure(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    assert keep(job, "raise SystemExit(3)") == 3
    assert job.read().state is JobState.SUCCEEDED


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6, 7])
def test_a_verb_that_fails_by_itself_is_not_tried_again(tmp_path: Path, code: int) -> None:
    job = make_job(tmp_path, retries=3)
    text = f"import sys; sys.stderr.write('a\\nwsol: no such thing\\n'); sys.exit({code})"
    assert keep(job, text) == code
    record = job.read()
    assert (record.state, record.attempt) == (JobState.FAILED, 1)
    assert record.last.reason == "no such thing"


def test_lost_infrastructure_is_tried_again_from_the_last_checkpoint(tmp_path: Path) -> None:
    """Killed at the first attempt, without its cluster at the second, done at the third."""
    job = make_job(tmp_path, retries=2, resumes=True)
    code = (
        "import os, sys; n = os.environ['WSOL_JOB_ATTEMPT']; print(sys.argv[1:])\n"
        "if n == '1': os.kill(os.getpid(), 9)\n"
        "if n == '2': sys.exit(8)"
    )
    assert keep(job, code) == 0
    record = job.read()
    states = [(str(t.state), t.attempt) for t in record.transitions[1:]]
    assert states == [
        ("running", 1),
        ("retrying", 1),
        ("running", 2),
        ("retrying", 2),
        ("running", 3),
        ("succeeded", 3),
    ]
    assert "SIGKILL" in record.transitions[2].reason
    assert job.result.read_text().strip().endswith("'--resume']")


def test_a_verb_that_ray_ends_with_its_node_is_tried_again(tmp_path: Path) -> None:
    """The process is ended from below Python, with 1, and says nothing."""
    job = make_job(tmp_path, retries=1)
    code = (
        "import os, sys; sys.stderr.write('epoch 1\\n'); sys.stderr.flush()\n"
        "if os.environ['WSOL_JOB_ATTEMPT'] == '1': os._exit(1)"
    )
    assert keep(job, code) == 0
    assert "without a word" in job.read().transitions[2].reason


def test_a_traceback_is_a_failure(tmp_path: Path) -> None:
    job = make_job(tmp_path, retries=1)
    assert keep(job, "1 / 0") == 1
    record = job.read()
    assert (record.state, record.attempt) == (JobState.FAILED, 1)
    assert record.last.reason == "ZeroDivisionError: division by zero"


def test_no_retry_left(tmp_path: Path) -> None:
    job = make_job(tmp_path, retries=1)
    assert keep(job, "raise SystemExit(8)") == 8
    record = job.read()
    assert (record.state, record.attempt) == (JobState.LOST, 2)
    assert record.last.reason == "the cluster was lost (exit code 8); no retry left of 1"


def test_a_limit_ends_the_verb(tmp_path: Path) -> None:
    job = make_job(tmp_path, retries=5, time_limit_s=0.3)
    assert keep(job, "import time; time.sleep(60)") == 11
    assert job.read().state is JobState.TIMED_OUT


def test_a_limit_that_ends_in_the_pause_before_a_retry_starts_nothing(tmp_path: Path) -> None:
    """The pause would be an hour; the job is over when its time is."""
    job = make_job(tmp_path, retries=5, time_limit_s=1.5)
    keeper = Keeper(job, program=(*PYTHON, "raise SystemExit(8)"), first_pause_s=3600)
    started = time.monotonic()
    assert keeper.keep() == 11
    assert time.monotonic() - started < 60
    record = job.read()
    assert (record.state, record.attempt) == (JobState.TIMED_OUT, 1)
    assert record.last.reason == "over its limit of 1.5 s"


def test_a_stop_in_the_pause_before_a_retry_starts_nothing(tmp_path: Path) -> None:
    job = make_job(tmp_path, retries=5)
    keeper = Keeper(job, program=(*PYTHON, "raise SystemExit(8)"), first_pause_s=3600)
    codes: list[int] = []
    keeping = threading.Thread(target=lambda: codes.append(keeper.keep()))
    keeping.start()
    until = time.monotonic() + 60
    while job.read().state is not JobState.RETRYING and time.monotonic() < until:
        time.sleep(0.02)
    job.ask_to_stop("by hand")
    keeping.join(timeout=60)
    assert codes == [10]
    record = job.read()
    assert (record.state, record.attempt) == (JobState.STOPPED, 1)


def test_a_verb_that_is_done_at_its_limit_has_succeeded(tmp_path: Path) -> None:
    """Told to end, it ends as one that has done its work."""
    code = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(0))\ntime.sleep(60)"
    job = make_job(tmp_path, time_limit_s=2.0)
    assert keep(job, code, grace_s=60) == 0
    assert job.read().state is JobState.SUCCEEDED


def test_each_resumption_has_the_whole_limit(tmp_path: Path) -> None:
    job = make_job(tmp_path, time_limit_s=0.5, resumes=True)
    assert keep(job, "import time; time.sleep(60)") == 11
    job.change(lambda r: r.moved(JobState.SUBMITTED, "resumed"))
    assert keep(job, "import sys; print(sys.argv[1:])") == 0
    assert job.result.read_text().strip().endswith("'--resume']")
    assert job.read().attempt == 2


def test_a_stop_in_the_record_ends_the_verb_after_its_checkpoint(tmp_path: Path) -> None:
    job = make_job(tmp_path, retries=5)
    code = (
        "import signal, sys, time\n"
        "signal.signal(15, lambda *_: (print('saved', flush=True), sys.exit(143)))\n"
        "sys.stderr.write('begun\\n'); sys.stderr.flush(); time.sleep(60)"
    )
    codes: list[int] = []
    keeping = threading.Thread(target=lambda: codes.append(keep(job, code)))
    keeping.start()
    until = time.monotonic() + 30
    while "begun" not in log_of(job) and time.monotonic() < until:
        time.sleep(0.05)
    job.ask_to_stop("by hand")
    keeping.join(timeout=30)
    assert codes == [10]
    assert job.read().state is JobState.STOPPED
    assert job.result.read_text() == "saved\n"


def test_a_verb_that_does_not_end_is_killed(tmp_path: Path) -> None:
    job = make_job(tmp_path, time_limit_s=0.5)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    started = time.monotonic()
    assert keep(job, code, grace_s=0.5) == 11
    assert time.monotonic() - started < 20


def test_a_job_stopped_while_it_waited_never_starts(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    job.ask_to_stop("by hand")
    assert keep(job, "raise SystemExit(1)") == 10
    assert job.read().attempt == 0


def test_a_killed_keeper_takes_its_verb_along(tmp_path: Path) -> None:
    """So that a retried job never meets its own ghost."""
    job = make_job(tmp_path)
    code = (
        "import sys; from pathlib import Path; from orchestrator.jobs.keeper import Keeper; "
        "from orchestrator.jobs.record import Job; "
        f'verb = \'import os, time; print(os.getpid(), file=__import__("sys").stderr, flush=True);'
        " time.sleep(60)'; "
        f"Keeper(Job(Path({str(job.folder)!r})), program=(sys.executable, '-c', verb)).keep()"
    )
    keeper = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not log_of(job) and time.monotonic() < until:
        time.sleep(0.1)
    verb = int(log_of(job))
    keeper.kill()
    keeper.wait()
    while _runs(verb) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(verb)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("code", [-9, 137, -15, 143, -1, 129, 8])
def test_lost(code: int) -> None:
    assert is_lost(code)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 130, -11, 139, -6])
def test_not_lost(code: int) -> None:
    assert not is_lost(code)


def test_pauses_grow_and_have_an_end() -> None:
    assert [pause_s(n) for n in (1, 2, 3, 20)] == [5.0, 10.0, 20.0, 300.0]


def test_only_further_attempts_of_verbs_that_can_continue_resume(tmp_path: Path) -> None:
    can = make_job(tmp_path, "can", words=("train", "x"), resumes=True).read()
    cannot = make_job(tmp_path, "cannot", words=("tune", "x")).read()
    said = make_job(tmp_path, "said", words=("train", "x", "--resume"), resumes=True).read()
    assert words_of(can, 1) == ["train", "x"]
    assert words_of(can, 2) == ["train", "x", "--resume"]
    assert words_of(cannot, 2) == ["tune", "x"]
    assert words_of(said, 2) == ["train", "x", "--resume"]


def test_a_signal_to_the_process_ends_the_job(tmp_path: Path) -> None:
    """As Ray stops a job; the keeper's own exit code says so."""
    job = make_job(tmp_path, words=("config", "show"))
    job.move(JobState.WAITING, "taken")
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    keeper = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.jobs.keeper", str(job.folder)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while job.read().state is JobState.WAITING and time.monotonic() < until:
        time.sleep(0.02)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(timeout=60) in (0, 10)  # it may have been done by then
    assert job.read().is_over
