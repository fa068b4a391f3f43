"""The process that a cluster starts for a job: runs the verb, keeps its log, tries again.

It runs as `python -m orchestrator.jobs.keeper FOLDER` beside the cluster's head and imports nothing
heavy. Infrastructure that was lost is tried again from the last checkpoint; a verb that failed by
itself, or was called wrongly, never is.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

from orchestrator.config.variables import CONFIG_VARIABLE
from orchestrator.jobs.inside import environment
from orchestrator.jobs.logs import DRIVER, LogWriter, last_lines
from orchestrator.jobs.record import Job, Record, now
from orchestrator.jobs.states import JobState, exit_code
from workloads.artifacts import write_text
from workloads.errors import EXIT_QUARANTINED, ClusterError, WsolError, one_line
from workloads.storage.storage import storage_of

HEARTBEAT_S = 15.0
LOOK_S = 2.0  # between two looks at whether the job should stop
GRACE_S = 60.0  # of a verb that was told to end, for its last checkpoint
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
_ROOT = Path(__file__).resolve().parents[2]
_WORDS_OF_A_FAILURE = ("wsol: ", '  File "')  # the line, or with --debug the traceback
_LOST_SIGNALS = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP}
_READ_BYTES = 2**16
_LONGEST_RESULT = 64 * 2**20  # bytes of an answer


def is_lost(code: int) -> bool:
    """Whether a verb ended by something outside of it: killed, or its cluster unreachable.

    Args:
        code: its exit code; minus the signal, or 128 and the signal, if one ended it.
    """
    number = -code if code < 0 else code - 128
    return code == ClusterError.exit_code or number in _LOST_SIGNALS


def pause_s(retry: int, first: float = FIRST_PAUSE_S) -> float:
    """Seconds before a retry, from 1: twice as long each time."""
    return min(first * 2.0 ** (retry - 1), LONGEST_PAUSE_S)


def words_of(record: Record, attempt: int) -> list[str]:
    """The command line of an attempt: those after the first continue."""
    words = [*record.request.words]
    if attempt > 1 and record.request.resumes and "--resume" not in words:
        words.append("--resume")
    return words


class Keeper:
    """Runs a job to its end."""

    def __init__(
        self,
        job: Job,
        *,
        program: Sequence[str] = (sys.executable, "-m", "orchestrator.cli"),
        grace_s: float = GRACE_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._job, self._program = job, program
        self._grace_s, self._first_pause_s = grace_s, first_pause_s
        self._told = threading.Event()  # by a signal, or in the record

    def keep(self) -> int:
        """The exit code of the job."""
        record = self._job.read()
        if record.is_over:  # stopped while it waited
            return exit_code(record.state, record.exit_code)
        deadline = _deadline(record)
        with self._watched():
            for retry in range(record.request.retries + 1):
                code, timed_out = self._attempt(record.attempt + 1, deadline)
                record = self._job.change(lambda r: r.model_copy(update={"exit_code": code}))  # noqa: B023
                end = self._end_of(record, code, timed_out, retry)
                if end:
                    record = self._job.move(*end)
                    return exit_code(record.state, record.exit_code)
                seconds = pause_s(retry + 1, self._first_pause_s)
                record = self._job.move(
                    JobState.RETRYING, f"{_why(code)}; again in {seconds:g} s", record.attempt
                )
                self._told.wait(min(seconds, max(0.0, deadline - time.time())))
        raise AssertionError("the last attempt has an end")

    def tell(self) -> None:
        """End the verb, as a signal does."""
        self._told.set()

    def _end_of(
        self, record: Record, code: int, timed_out: bool, retry: int
    ) -> tuple[JobState, str] | None:
        """The state in which the job ends, and why; None if it is tried again."""
        if code in (0, EXIT_QUARANTINED):
            return JobState.SUCCEEDED, f"exit code {code}"
        if timed_out:
            limit = record.request.time_limit_s or 0
            return JobState.TIMED_OUT, f"over its limit of {limit:g} s"
        if record.stop_asked or self._told.is_set():
            return JobState.STOPPED, "stopped" if record.stop_asked else "told to end by a signal"
        if not is_lost(code) and not self._was_cut_off(code):
            return JobState.FAILED, self._last_words() or _why(code)
        if retry >= record.request.retries:
            return JobState.LOST, f"{_why(code)}; no retry left of {record.request.retries}"
        return None

    def _was_cut_off(self, code: int) -> bool:
        """Whether Ray ended the verb because its node is gone: with 1, and without a word."""
        said = self._last_lines()
        return code == 1 and not any(line.startswith(_WORDS_OF_A_FAILURE) for line in said)

    def _attempt(self, attempt: int, deadline: float) -> tuple[int, bool]:
        """Run the verb once: its exit code, and whether the job's time was over."""
        over = time.time() >= deadline  # in the pause before a retry
        if over or self._told.is_set():
            return 128 + signal.SIGTERM, over and not self._told.is_set()
        record = self._job.move(
            JobState.RUNNING, f"attempt {attempt} on {platform.node()}", attempt
        )
        with LogWriter(self._job.logs, DRIVER, attempt) as log, ExitStack() as pumps:
            command = [*self._program, *words_of(record, attempt)]
            settings = pumps.enter_context(_local_copy(self._job.settings))
            verb = subprocess.Popen(
                command,
                cwd=record.request.cwd if Path(record.request.cwd).is_dir() else None,
                env=_environment(self._job, attempt, settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
            answer = bytearray()
            pumps.enter_context(_pumped(verb.stdout, answer.extend))
            pumps.enter_context(_pumped(verb.stderr, lambda data: _say(log, data)))
            timed_out = self._wait(verb, deadline)
        if answer:
            write_text(self._job.result, bytes(answer[:_LONGEST_RESULT]).decode(errors="replace"))
        return verb.returncode, timed_out

    def _wait(self, verb: subprocess.Popen[bytes], deadline: float) -> bool:
        """Wait for the end of a verb; end it when the job is stopped or its time is over."""
        while verb.poll() is None:
            over = time.time() >= deadline
            if over or self._told.is_set():
                _end(verb, self._grace_s)
                return over
            with suppress(subprocess.TimeoutExpired):
                verb.wait(0.2)
        return False

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Signs of life are written, and a wish to stop is seen, for the time of the block."""
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _watch(self, done: threading.Event) -> None:
        beaten = -HEARTBEAT_S
        while not done.is_set():
            with suppress(OSError, WsolError):  # storage that fails for a while
                if time.monotonic() - beaten >= HEARTBEAT_S:
                    write_text(self._job.heartbeat, now())
                    beaten = time.monotonic()
                if self._job.read().stop_asked:
                    self._told.set()
            done.wait(LOOK_S)

    def _last_lines(self) -> list[str]:
        text, _ = last_lines(self._job.logs, DRIVER, 20)
        return [line for line in text.decode(errors="replace").splitlines() if line.strip()]

    def _last_words(self) -> str:
        """The line by which a verb says what was wrong."""
        lines = self._last_lines()
        said = [line for line in lines if line.startswith("wsol: ")]
        return one_line((said or lines or [""])[-1].removeprefix("wsol: "))


def _deadline(record: Record) -> float:
    limit = record.request.time_limit_s
    return time.time() + limit if limit else float("inf")


def _why(code: int) -> str:
    if code == ClusterError.exit_code:
        return "the cluster was lost (exit code 8)"
    if code == 1:
        return "ended without a word (exit code 1), as with a node that is gone"
    number = -code if code < 0 else code - 128
    with suppress(ValueError):
        return f"ended by {signal.Signals(number).name}"
    return f"exit code {code}"


@contextmanager
def _local_copy(path: Path) -> Iterator[Path]:
    """A file of the storage where a verb can read it; it is small."""
    with storage_of(path).open(path) as stream:
        text = stream.read()
    with tempfile.NamedTemporaryFile(suffix=path.suffix) as copy:
        copy.write(text)
        copy.flush()
        yield Path(copy.name)


def _environment(job: Job, attempt: int, settings: Path) -> dict[str, str]:
    code = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **environment(job, attempt),
        CONFIG_VARIABLE: str(settings),
        "PYTHONPATH": os.pathsep.join(code),
        "NO_COLOR": "1",
    }


def _die_with_parent() -> None:
    """Linux: a verb whose keeper is killed is killed, too, so that it never meets its successor."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


@contextmanager
def _pumped(stream: IO[bytes] | None, take: Callable[[bytes], object]) -> Iterator[None]:
    """Hand over what comes from a stream until it ends."""
    assert stream is not None

    def pump() -> None:
        for data in iter(lambda: os.read(stream.fileno(), _READ_BYTES), b""):
            take(data)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(timeout=GRACE_S)  # a grandchild may hold the stream
        stream.close()


def _say(log: LogWriter, data: bytes) -> None:
    log.write(data)
    sys.stderr.buffer.write(data)
    sys.stderr.buffer.flush()


def _end(verb: subprocess.Popen[bytes], grace_s: float) -> None:
    """SIGTERM, and SIGKILL to all of it if it does not end."""
    verb.terminate()
    try:
        verb.wait(grace_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(verb.pid, signal.SIGKILL)
        verb.wait()


def main() -> None:
    """Keep the job whose folder is the one argument; ends with the job's exit code."""
    keeper = Keeper(Job(Path(sys.argv[1])))

    def told(number: int, frame: FrameType | None) -> None:
        keeper.tell()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    sys.exit(keeper.keep())


if __name__ == "__main__":
    main()
