"""The access log: a JSON line for each request, written by a thread so that no request waits.

It never has images, keys or the query. If the disk is slower than the requests, lines are left
out, and the next one that is written says how many.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from orchestrator.serve.api.watch.trace import Trace

STDERR = "-"
_MOST_WAITING = 10_000
_CLOSE_S = 5.0
_LOG = logging.getLogger(__name__)


class AccessLog:
    """A file that grows by a line for each request.

    It is opened anew for each batch of lines, so that it may be moved away at any time.

    Args:
        target: its path, or "-" for standard error.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue(_MOST_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="access-log", daemon=True)
        self._thread.start()

    def write(self, trace: Trace, route: str) -> None:
        """Add a request that is over."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": trace.request_id,
            "client": trace.client,
            "method": trace.method,
            "route": route,
            "status": trace.status,
            "code": trace.code,
            "ms": round(trace.total_s * 1000, 3),
            "bytes_in": trace.bytes_in,
            "model": trace.model or None,
            "version": trace.version or None,
            "key": trace.key_id,
        }
        if self._dropped:
            line["dropped_before"] = self._dropped
        try:
            self._lines.put_nowait(line)
            self._dropped = 0
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits."""
        self._lines.put(None)
        self._thread.join(_CLOSE_S)

    def _work(self) -> None:
        while True:
            lines = [self._lines.get()]
            while not self._lines.empty():
                lines.append(self._lines.get())
            data = b"".join(orjson.dumps(one) + b"\n" for one in lines if one is not None)
            try:
                self._put(data)
            except OSError as error:
                _LOG.error("serve.access_log %s: %s; lines are lost", self._target, error)
            if None in lines:
                return

    def _put(self, data: bytes) -> None:
        if self._target == STDERR:
            sys.stderr.write(data.decode())
            sys.stderr.flush()
            return
        with Path(self._target).open("ab") as file:
            file.write(data)
