"""The log of a job in the workspace's storage, in segments, since objects cannot be appended to.

`logs/<source>/<attempt>-<number>.log`; the last segment of an attempt is written again as it grows
and is closed when it is long. The source is `driver`, or `rank-N` of a training worker.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from workloads.artifacts import atomic_file
from workloads.storage.storage import storage_of

DRIVER = "driver"
FLUSH_S = 1.0  # between two writes
SEGMENT_BYTES = 256 * 2**10  # what one write may repeat


def of_rank(rank: int) -> str:
    """The source of a training worker's log."""
    return f"rank-{rank}"


class LogWriter:
    """Writes what one process says; several of one job write at the same time.

    As a context manager it writes every second, and the rest at the end.
    """

    def __init__(self, folder: Path, source: str, attempt: int) -> None:
        self._folder, self._attempt = folder / source, attempt
        self._number, self._segment, self._written = 0, bytearray(), 0
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._stop = threading.Event()
        self._flusher = threading.Thread(target=self._flush_often, daemon=True)

    def __enter__(self) -> Self:
        self._flusher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._flusher.join()
        self.flush()

    def write(self, data: bytes) -> None:
        """Add to the log; it reaches the storage within a second or two."""
        with self._lock:
            self._segment += data

    def flush(self) -> None:
        """Write what is new; if that fails, it is still new."""
        with self._writing:
            with self._lock:
                data = bytes(self._segment)
            if len(data) == self._written:
                return
            name = f"{self._attempt:03}-{self._number:06}.log"
            with atomic_file(self._folder / name) as temporary:
                temporary.write_bytes(data)
            self._written = len(data)
            if len(data) >= SEGMENT_BYTES:
                self._number, self._written = self._number + 1, 0
                with self._lock:
                    del self._segment[: len(data)]

    def _flush_often(self) -> None:
        while not self._stop.wait(FLUSH_S):
            with suppress(OSError):  # storage that fails for a while
                self.flush()


class LogReader:
    """Reads a log from its start, and on from where it was."""

    def __init__(self, folder: Path, source: str) -> None:
        self._folder = folder / source
        self._segment, self._read = "", 0

    def new(self) -> Iterator[bytes]:
        """Pieces that have come since the last call."""
        storage = storage_of(self._folder)
        for path in storage.files(self._folder):
            if path.suffix != ".log" or path.name < self._segment:
                continue
            if path.name > self._segment:
                self._segment, self._read = path.name, 0
            with storage.open(path) as stream:
                data = stream.read()[self._read :]
            self._read += len(data)
            if data:
                yield data


def sources(folder: Path) -> list[str]:
    """Names of all who have a log."""
    return sorted({path.parent.name for path in storage_of(folder).files(folder)})


def last_lines(folder: Path, source: str, count: int) -> tuple[bytes, LogReader]:
    """The last lines of a log, and a reader of what comes behind them."""
    reader = LogReader(folder, source)
    text = b"".join(reader.new())
    lines = text.splitlines(keepends=True)
    return b"".join(lines[len(lines) - min(count, len(lines)) :]), reader
