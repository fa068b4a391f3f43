"""The event log of a run: JSON lines that outlive everything, trackers read them later.

An event is any JSON object. Those with `metrics` (names to numbers) are sent to the tracker, with
`epoch` or `step` as their step and `time_ms` as their time.
"""

from __future__ import annotations

import errno
import io
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workloads.errors import IntegrityError, ResourceError
from workloads.storage.storage import storage_of

_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class EventLog:
    """Append-only JSON lines, each written whole.

    What was appended survives a SIGKILL of this process. One process writes a log at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event; `time_ms` (UTC, since 1970) is added when it is missing.

        A metric may be NaN or infinite: a diverged loss is news. JSON has no such numbers, so the
        log has their names as text; they are numbers again when it is read.

        Raises:
            ResourceError: the disk is full.
        """
        body = {"time_ms": time.time_ns() // 1_000_000, **event}
        text = json.dumps(_named(body), ensure_ascii=False, allow_nan=False)
        line = text.encode() + b"\n"
        try:
            storage_of(self.path).append(self.path, line)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise ResourceError(
                f"{self.path}: disk full; free some space and run it again"
            ) from None


def log_epoch(path: Path, metrics: Mapping[str, float]) -> None:
    """Append the metrics of an epoch, whose number is the one called `epoch`."""
    values = dict(metrics)
    EventLog(path).append({"epoch": int(values.pop("epoch")), "metrics": values})


def log_step(path: Path, step: int, metrics: Mapping[str, float]) -> None:
    """Append metrics of one step of a training, `step` steps from its start."""
    values = {f"step_{name}": value for name, value in metrics.items()}
    EventLog(path).append({"step": step, "metrics": values})


def read_events(path: Path) -> list[dict[str, Any]]:
    """All events in order, none if there is no log; a torn last line is left out.

    Raises:
        IntegrityError: a line is not a JSON object.
    """
    return [event for event, _ in events_after(path, 0)]


def events_after(path: Path, position: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Events after a position in bytes, each with the position after it.

    A position behind the end means that the log was made anew: it is read from its start.

    Raises:
        IntegrityError: a line is not a JSON object.
    """
    try:
        with storage_of(path).open(path) as stream:
            if position > stream.seek(0, io.SEEK_END):
                position = 0
            stream.seek(position)
            for line in stream:
                if not line.endswith(b"\n"):
                    return  # being written, or torn by a crash
                position += len(line)
                yield _parse(path, line), position
    except FileNotFoundError:
        return


def _parse(path: Path, line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise IntegrityError(f"{path}: not an event: {line[:80]!r}; remove that line")
    if isinstance(event.get("metrics"), dict):
        event["metrics"] = {k: _number(v) for k, v in event["metrics"].items()}
    return event


def _named(value: Any) -> Any:
    """JSON, with names for numbers that are none, and floats for those of other libraries."""
    if isinstance(value, Mapping):
        return {key: _named(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_named(inner) for inner in value]
    if value is None or isinstance(value, str | int):
        return value
    number = float(value)
    return number if math.isfinite(number) else _NAMES[str(number)]


def _number(value: Any) -> Any:
    return float(value) if value in _NAMES.values() else value


def learning_curves(events: Path) -> list[dict[str, float]]:
    """Metrics per epoch in order; of an epoch reported twice, the last report."""
    epochs = [event for event in read_events(events) if "epoch" in event]
    by_epoch = {int(event["epoch"]): event["metrics"] for event in epochs}
    return [{"epoch": epoch, **by_epoch[epoch]} for epoch in sorted(by_epoch)]
