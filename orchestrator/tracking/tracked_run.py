"""An MLflow run and the state of its delivery."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from orchestrator.config.places import restored, stored
from orchestrator.tracking.events import events_after
from orchestrator.tracking.mlflow_store import MlflowStore, clean_key, is_missing
from workloads.artifacts import exists, read_json, write_json
from workloads.errors import IntegrityError, NotFound, WsolError
from workloads.files import there
from workloads.storage.addresses import absolute

Status = Literal["FINISHED", "FAILED", "KILLED"]

_MAX_METRICS = 1000  # in one call, MLflow's limit
_logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Run:
    """A run and the state of its delivery.

    Attributes:
        uid: unique id that the caller chose; the same id is the same MLflow run, for ever.
        parent: uid or MLflow id of the run that this one belongs to.
        started_ms, ended_ms: UTC, since 1970.
        run_id: MLflow's id; None as long as the server was not reached.
        opened, ended: whether MLflow knows the parameters, and the end.
        events: the event log that is followed.
        sent, sent_to: bytes of the event log that the MLflow run `sent_to` has.
        metrics: those without an event log: (name, value, time in ms, step).
        files: files and folders to store, each with its folder among the run's artifacts.
        status: how the run ended; None while it lasts.
    """

    uid: str
    name: str
    params: dict[str, str]
    tags: dict[str, str]
    parent: str | None = None
    started_ms: int = 0
    run_id: str | None = None
    opened: bool = False
    events: Path | None = None
    sent: int = 0
    sent_to: str | None = None
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    files: list[tuple[str, str | None]] = field(default_factory=list)
    status: Status | None = None
    ended_ms: int = 0
    ended: bool = False
    _saving: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def is_sent(self) -> bool:
        """Whether MLflow has everything that is known so far."""
        behind = self.events is not None and any(events_after(self.events, self.sent))
        to_end = self.status is not None and not self.ended
        return self.opened and not (behind or to_end or self.metrics or self.files)

    def save(self) -> None:
        """Keep the state beside the event log; without a log there is nothing to keep."""
        if self.events is not None:
            with self._saving:
                write_json(sent_path(self.events), self._state(self.events.parent))

    def _state(self, folder: Path) -> dict[str, Any]:
        """The fields that are kept; files in the log's folder are named from there: it may move."""
        values = {k: getattr(self, k) for k in kept_fields()}
        return {**values, "files": stored(self.files, folder)}

    def attach(self, events: Path) -> None:
        """Follow an event log; one that an earlier process sent in part goes on from there."""
        followed, self.events = self.events, absolute(events)
        with suppress(WsolError):  # nothing there, or damaged: then all is sent again
            before = restore(events)
            if followed is None and before.uid == self.uid:
                self.files = [*before.files, *self.files]
                self.sent, self.sent_to = before.sent, before.sent_to


def kept_fields() -> list[str]:
    """Fields of a run that are kept beside its event log."""
    return [f.name for f in fields(Run) if f.name not in ("events", "metrics", "_saving")]


def sent_path(events: Path) -> Path:
    """The file with the state of delivery of an event log."""
    return events.with_name(f"{events.name}.sent")


def restore(events: Path) -> Run:
    """The run that was followed, as it was left beside the log.

    Raises:
        NotFound: no run was followed there.
        IntegrityError: the file is damaged.
    """
    path = sent_path(events)
    if not exists(path):
        raise NotFound(f"{events}: no tracked run there; give the events.jsonl of a run")
    state = read_json(path)
    if not isinstance(state, dict) or set(state) != set(kept_fields()):
        raise IntegrityError(f"{path}: not the state of a tracked run; remove it to send all again")
    folder = absolute(events).parent
    state["files"] = [tuple(pair) for pair in restored(state["files"], folder)]
    return Run(**state, events=absolute(events))


def deliver(store: MlflowStore, run: Run) -> None:
    """Bring MLflow up to date. Every step may be repeated after a crash.

    Raises whatever MLflow raises.
    """
    try:
        _deliver(store, run)
    except Exception as error:  # MLflow's stores raise all kinds
        if not is_missing(error):
            raise
        # another server, or the same with another database: start over there
        store.forget()
        run.run_id, run.opened, run.ended = None, False, False
        _deliver(store, run)


def _deliver(store: MlflowStore, run: Run) -> None:
    if not run.opened or run.run_id is None:
        tags = run.tags
        if run.parent is not None:
            tags = {**tags, "mlflow.parentRunId": store.parent_id(run.parent)}
        run.run_id = store.open_run(run.uid, run.name, run.params, tags, run.started_ms)
        run.opened = True
        run.save()
    _send_metrics(store, run, run.run_id)
    if run.status and not run.ended:
        store.client.set_terminated(run.run_id, run.status, run.ended_ms)
        run.ended = True
        run.save()
    _send_files(store, run, run.run_id)


def _send_metrics(store: MlflowStore, run: Run, run_id: str) -> None:
    while run.metrics:
        part = run.metrics[:_MAX_METRICS]
        store.log_metrics(run_id, part)
        del run.metrics[: len(part)]
    if run.events is None:
        return
    if run.sent_to != run_id:
        run.sent, run.sent_to = 0, run_id
    for part, position in _portions(run.events, run.sent):
        for start in range(0, len(part), _MAX_METRICS):
            store.log_metrics(run_id, part[start : start + _MAX_METRICS])
        run.sent = position
        run.save()


def _portions(events: Path, position: int) -> Iterator[tuple[list[Any], int]]:
    """Metrics of whole events, about one call's worth, with the position after them."""
    part: list[Any] = []
    start = position
    for event, position in events_after(events, start):
        part += _metrics_of(event)
        if len(part) >= _MAX_METRICS:
            yield part, position
            part, start = [], position
    if position != start:
        yield part, position


def _metrics_of(event: dict[str, Any]) -> Iterator[tuple[str, float, int, int]]:
    # the event's own time: sent twice, MLflow sees that it is the same measurement
    step, time_ms = int(event.get("epoch", event.get("step", 0))), int(event["time_ms"])
    for name, value in event.get("metrics", {}).items():
        if isinstance(value, int | float):
            yield clean_key(name), float(value), time_ms, step


def _send_files(store: MlflowStore, run: Run, run_id: str) -> None:
    while run.files:
        path, folder = run.files[0]
        if there(Path(path)):
            store.log_artifact(run_id, Path(path), folder)
        else:
            _logger.warning("tracking: %s is gone and was not stored", path)
        del run.files[0]
        run.save()
