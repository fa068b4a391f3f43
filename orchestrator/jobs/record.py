"""The record of a job: what was asked for, what became of it; kept in the workspace's storage.

One small file for each job, changed by compare-and-swap, so that the submitter, the job itself and
whoever stops it may write at the same moment, and a list of a thousand jobs is a thousand reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from orchestrator.jobs.states import NOT_STARTED, TERMINAL, JobState
from workloads.artifacts import atomic_file, exists, write_json
from workloads.errors import Conflict, IntegrityError, NotFound, WsolError
from workloads.options import Options
from workloads.storage.storage import storage_of

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_RECORD = "record.json"
_READERS = 16  # at the same time: object storage answers in tens of milliseconds
_TRIES = 100  # of a swap; each means that somebody else has written


class Transition(Options):
    """One change of state.

    Attributes:
        time: UTC, ISO-8601, seconds.
        reason: for people, one line.
        attempt: which start of the verb it belongs to, from 1; 0 before the first.
    """

    state: JobState
    time: str
    reason: str
    attempt: int = 0


class Request(Options):
    """A submission: the words, and how they are to be run.

    Attributes:
        words: the command line behind `wsol`.
        resumes: the verb has `--resume`, which a further attempt is given.
        cluster: name or file of the cluster.
        cwd: folder that relative paths start from.
        retries: further attempts after lost infrastructure.
        time_limit_s: seconds that all attempts may take together; None for no limit.
        code: digest of the code that travels; None if the cluster has it.
        recipes: SHA-256 of recipe files that travel, by the path that the user gave.
        version: of the submitting `wsol`.
        needs: resources of the verb, by their name on Ray.
    """

    name: str = Field(pattern=NAME)
    words: tuple[str, ...] = Field(min_length=1)
    resumes: bool
    cluster: str
    cwd: str
    retries: int = Field(ge=0)
    time_limit_s: float | None = Field(default=None, gt=0)
    code: str | None = None
    recipes: dict[str, str] = Field(default={})
    version: str
    needs: dict[str, float] = Field(default={})


class Record(Options):
    """A job and its history.

    Attributes:
        submissions: ids under which Ray has had it, latest last.
        code_sent: the latest submission sent the code; not if the cluster had it.
        stop_asked: somebody wants it stopped.
        exit_code: the verb's, of the last attempt that ended.
        tracking_run: MLflow run id, once there is one.
    """

    request: Request
    transitions: tuple[Transition, ...] = Field(min_length=1)
    submissions: tuple[str, ...] = ()
    code_sent: bool = False
    stop_asked: bool = False
    exit_code: int | None = None
    tracking_run: str | None = None

    @property
    def name(self) -> str:
        return self.request.name

    @property
    def last(self) -> Transition:
        return self.transitions[-1]

    @property
    def state(self) -> JobState:
        return self.last.state

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL

    @property
    def attempt(self) -> int:
        """Starts of the verb so far."""
        return max(t.attempt for t in self.transitions)

    @property
    def submitted(self) -> str:
        return self.transitions[0].time

    def moved(self, state: JobState, reason: str, attempt: int | None = None) -> Record:
        """The same job in another state."""
        number = self.attempt if attempt is None else attempt
        step = Transition(state=state, time=now(), reason=reason, attempt=number)
        return self.model_copy(update={"transitions": (*self.transitions, step)})


def now() -> str:
    """UTC, ISO-8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Job:
    """The folder of one job."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def settings(self) -> Path:
        """The settings of the verb, whole."""
        return self.folder / "settings.json"

    @property
    def result(self) -> Path:
        """The verb's answer on stdout."""
        return self.folder / "result.json"

    @property
    def heartbeat(self) -> Path:
        """The time at which the job was last seen alive."""
        return self.folder / "heartbeat"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def recipe(self, given: str) -> Path:
        """Its copy of a recipe file, called as that one, since a recipe is called as its file."""
        return self.folder / "recipes" / Path(given).name

    def read(self) -> Record:
        """Its record.

        Raises:
            NotFound: there is no such job.
            IntegrityError: it is no record.
        """
        return _parsed(self._text(), self.folder)

    def change(self, step: Callable[[Record], Record]) -> Record:
        """Apply a pure change to the newest record; it is tried again if somebody else wrote."""
        storage, path = storage_of(self.folder), self.folder / _RECORD
        for _ in range(_TRIES):
            old = self._text()
            changed = step(_parsed(old, self.folder))
            new = changed.model_dump_json()
            if new == old or storage.swap(path, old, new):
                return changed
        raise WsolError(f"job '{self.name}': others write its record all the time; try again")

    def move(self, state: JobState, reason: str, attempt: int | None = None) -> Record:
        """Note a change of state; a job that is over stays as it is."""
        return self.change(lambda r: r if r.is_over else r.moved(state, reason, attempt))

    def ask_to_stop(self, reason: str) -> Record:
        """Stopped at once if it has not begun; else it is told, and stops itself."""

        def step(record: Record) -> Record:
            if record.is_over:
                return record
            asked = record.model_copy(update={"stop_asked": True})
            waits = record.state in NOT_STARTED
            return asked.moved(JobState.STOPPED, reason) if waits else asked

        return self.change(step)

    def _text(self) -> str:
        path = self.folder / _RECORD
        try:
            with storage_of(path).open(path) as stream:
                return stream.read().decode()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f"no job '{self.name}' in {self.folder.parent}; see `wsol jobs list`"
            ) from None


@dataclass(frozen=True, slots=True)
class Jobs:
    """All jobs of a workspace."""

    folder: Path

    def job(self, name: str) -> Job:
        """The job of a name, whether there is one or not."""
        return Job(self.folder / name)

    def create(
        self,
        request: Request,
        settings: dict[str, JsonValue],
        recipes: Mapping[str, bytes] | None = None,
    ) -> Job:
        """A new job; its name is taken from now on, for ever.

        Args:
            recipes: content of recipe files by the path that the user gave.

        Raises:
            Conflict: there is a job of that name.
        """
        job = self.job(request.name)
        first = Transition(state=JobState.SUBMITTED, time=now(), reason="submitted")
        if exists(job.folder / _RECORD):
            raise _taken(request.name)
        write_json(job.settings, settings)
        for given, content in (recipes or {}).items():
            with atomic_file(job.recipe(given)) as temporary:
                temporary.write_bytes(content)
        record = Record(request=request, transitions=(first,))
        path = job.folder / _RECORD
        if not storage_of(path).create(path, record.model_dump_json()):
            raise _taken(request.name)
        return job

    def read_all(self) -> Iterator[Record]:
        """Every record, latest submission last; a damaged one is left out."""
        folders = storage_of(self.folder).entries(self.folder)
        with ThreadPoolExecutor(_READERS) as pool:
            found = [record for record in pool.map(_readable, folders) if record]
        return iter(sorted(found, key=lambda record: (record.submitted, record.name)))

    def delete(self, name: str) -> None:
        """Remove a job that is over, with its logs.

        Raises:
            NotFound: there is no such job.
            Conflict: it is not over.
        """
        job = self.job(name)
        record = job.read()
        if not record.is_over:
            raise Conflict(f"job '{name}' is {record.state}; stop it first: wsol jobs stop {name}")
        storage = storage_of(job.folder)
        storage.remove(job.folder / _RECORD)  # first: from here on there is no such job
        for path in storage.files(job.folder):
            storage.remove(path)


def _readable(folder: Path) -> Record | None:
    try:
        return Job(folder).read()
    except (NotFound, IntegrityError):  # deleted meanwhile, or of another version
        return None


def _parsed(text: str, folder: Path) -> Record:
    try:
        return Record.model_validate_json(text)
    except ValidationError:
        raise IntegrityError(f"{folder}: holds no record of a job of this version") from None


def _taken(name: str) -> Conflict:
    return Conflict(
        f"job '{name}' exists; a name is used once: choose another --name, or continue it "
        f"with `wsol jobs resume {name}`"
    )
