"""Runs in MLflow, without ever stopping or slowing the work that they describe.

The work writes its own event log; one background thread carries it to MLflow. Whatever goes
wrong on that way costs one warning line, and everything can be sent later.
"""

from __future__ import annotations

import logging
import queue
import shlex
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Machine
from orchestrator.jobs.inside import JOB_TAG, current_job, note_tracking_run
from orchestrator.tracking.mlflow_store import RUN_TAG, MlflowStore, clean_key, flat, problem_of
from orchestrator.tracking.tracked_run import Run, Status, deliver, restore
from workloads.errors import one_line
from workloads.storage.addresses import absolute, shown

POLL_S = 1.0  # between two looks at the event logs
REST_S = 30.0  # without a call after one that failed
NEW_DATABASE_S = 60.0  # a busy machine may take as long to make the tables of a local one
_logger = logging.getLogger(__name__)


class Tracker:
    """Runs in MLflow.

    No method raises when MLflow fails, or waits for a server longer than `tracking.timeout_s`;
    after a failure none waits at all for half a minute; but `close` tries once more with a server
    that failed and was not silent, for it may be back. `sync`, which a user asks for, waits.
    """

    def __init__(self, machine: Machine) -> None:
        """Imports MLflow (seconds), contacts nobody."""
        self._store = MlflowStore(machine)
        self._timeout_s = machine.tracking.timeout_s
        if machine.tracking.uri is None:
            self._timeout_s = max(self._timeout_s, NEW_DATABASE_S)
        self._runs: list[Run] = []
        self._requests: queue.SimpleQueue[tuple[Run, threading.Event]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._courier: threading.Thread | None = None
        self._rest_until = 0.0
        self._silent = False
        self._problem: str | None = None
        self._warned = False
        self._noted: set[str] = set()

    def start_run(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None = None,
        *,
        wait: bool = True,
    ) -> Run:
        """Start a run, or continue the one with the same `wsol.run` tag.

        Args:
            name: what people see.
            params: nested values are flattened, long ones are cut. On a continued run MLflow
                keeps the first value; what changed is in the tag `wsol.changed_params`.
            tags: `wsol.run` is the run's unique id; without it the run is a new one.
            parent: the parent's `wsol.run`, which works before a server answers, or its
                MLflow id.
            wait: whether to return only when MLflow has the run, or has failed.
        """
        uid, job = tags.get(RUN_TAG) or uuid.uuid4().hex, current_job()
        every = {**tags, RUN_TAG: uid, **({JOB_TAG: job.name} if job else {})}
        run = Run(uid, name, flat(params), every, parent, started_ms=_now_ms())
        if wait:
            self._flush(run)
        else:
            self._request(run)
        return run

    def follow(self, run: Run, events: Path) -> ExitStack:
        """Send what is appended to an event log, as it comes, until the run is closed.

        As a context manager it also sends what is left at the end of the block.
        """
        self._attach(run, events)
        leaving = ExitStack()
        leaving.callback(self._flush, run)
        return leaving

    def log_metrics(self, run: Run, metrics: Mapping[str, float], step: int = 0) -> None:
        """Metrics of a run without an event log, a trial of a search, say; sent by `close`."""
        now = _now_ms()
        run.metrics += [(clean_key(k), float(v), now, step) for k, v in metrics.items()]

    def log_artifact(self, run: Run, path: Path, folder: str | None = None) -> None:
        """Store a file, or all of a folder, in `folder` among the run's artifacts."""
        run.files.append((str(absolute(path)), folder))
        self._save(run)
        self._flush(run)

    def close(self, run: Run, status: Status) -> None:
        """End a run, after what is left was sent: tried even if the server just refused."""
        run.status, run.ended, run.ended_ms = status, False, _now_ms()
        self._save(run)
        if not self._silent:
            self._rest_until = 0.0
        self._flush(run)
        self._warn(run)

    def sync(self, events: Path, run: Run | None = None) -> bool:
        """Send everything of an event log that MLflow has not got; sending twice does no harm.

        Without a run: the one that was followed, as it was left beside the log.

        Returns:
            Whether MLflow has everything now; if not, a warning said why.

        Raises:
            NotFound: no run was followed there.
            IntegrityError: the log, or what was left beside it, is damaged.
        """
        run = run or restore(events)
        self._attach(run, events)
        self._rest_until = 0.0
        self._request(run).wait()  # every call in it has its own limit
        return run.is_sent()

    def _attach(self, run: Run, events: Path) -> None:
        try:
            run.attach(events)
        except OSError as error:
            self._failed(run, str(error))
        self._save(run)
        self._warn(run)

    def _save(self, run: Run) -> None:
        try:
            run.save()
        except OSError as error:
            self._failed(run, str(error))

    def _request(self, run: Run) -> threading.Event:
        """Ask the courier to deliver a run; the event is set when it has tried."""
        done = threading.Event()
        with self._lock:
            if run not in self._runs:
                self._runs.append(run)
            self._requests.put((run, done))
            if self._courier is None:
                self._courier = threading.Thread(target=self._carry, name="tracker", daemon=True)
                self._courier.start()
        return done

    def _flush(self, run: Run) -> None:
        """Deliver now and wait for it, but not long, and not while MLflow is known to fail."""
        done = self._request(run)
        if time.monotonic() >= self._rest_until and not done.wait(self._timeout_s):
            self._silent = True
            self._failed(run, f"no answer in {self._timeout_s:g} s")

    def _carry(self) -> None:
        """The courier's thread, where everything happens that may take long."""
        while True:
            asked = self._asked()
            if asked is not None:
                run, done = asked
                self._try(run)
                done.set()
            elif not self._round():
                return

    def _asked(self) -> tuple[Run, threading.Event] | None:
        """The next request, or None after a while: no error in hand, which would be taken for
        the cause of what goes wrong then."""
        try:
            return self._requests.get(timeout=POLL_S)
        except queue.Empty:
            return None

    def _round(self) -> bool:
        """Deliver every open run; False if there is none and the courier can go home."""
        for run in list(self._runs):
            self._try(run)
        with self._lock:
            if self._runs or not self._requests.empty():
                return True
            self._courier = None
            return False

    def _try(self, run: Run) -> None:
        if time.monotonic() < self._rest_until:
            return
        try:
            deliver(self._store, run)
            self._note(run)
            self._rest_until, self._silent = 0.0, False
        except Exception as error:  # MLflow, its databases and file stores raise all kinds
            self._failed(run, problem_of(error, self._store.shown_uri))
            return
        with self._lock:
            if run.ended and run in self._runs:
                self._runs.remove(run)

    def _note(self, run: Run) -> None:
        """Tell the job around this process, if there is one, which run is its."""
        if run.run_id and run.uid not in self._noted:
            self._noted.add(run.uid)
            note_tracking_run(run.run_id)

    def _failed(self, run: Run, problem: str) -> None:
        self._rest_until = time.monotonic() + REST_S
        self._problem = self._problem or problem
        self._warn(run)

    def _warn(self, run: Run) -> None:
        """Say once what went wrong, as soon as it can be said where the metrics are."""
        if self._problem is None or self._warned or not (run.events or run.status):
            return
        self._warned = True
        later = "run it again when the server answers"
        if run.events:
            events = shown(run.events)
            command = f"wsol sync {shlex.quote(events)}"
            later = f"metrics are kept in {events}; send them later with: {command}"
        problem = f"tracking in {self._store.uri} failed ({self._problem}); the work goes on"
        _logger.warning("%s; %s", one_line(problem), later)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
