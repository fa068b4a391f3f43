"""The log of one training worker, kept with the job around it, if there is one."""

from __future__ import annotations

import platform
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import TextIOBase
from pathlib import Path

from orchestrator.jobs.logs import LogWriter, of_rank
from workloads.training.share import Share


class _Lines(TextIOBase):
    """A text stream that goes to a log, and on to where it went before."""

    def __init__(self, log: LogWriter) -> None:
        self._log, self._before = log, sys.stderr

    def write(self, text: str) -> int:
        self._log.write(text.encode(errors="backslashreplace"))
        self._before.write(text)
        return len(text)

    def flush(self) -> None:
        self._before.flush()


@contextmanager
def rank_log(folder: str | None, attempt: int, share: Share, device: object) -> Iterator[None]:
    """Keep what this worker writes, and its error, for the time of the block.

    Args:
        folder: of the job's logs; None: nothing is kept.
    """
    if folder is None:
        yield
        return
    with LogWriter(Path(folder), of_rank(share.rank), attempt) as log:
        lines = _Lines(log)
        with redirect_stdout(lines), redirect_stderr(lines):
            say_here(f"rank {share.rank} of {share.world} on {platform.node()}, {device}")
            try:
                yield
            except BaseException:
                traceback.print_exc()
                raise


def say_here(line: str) -> None:
    """One line with its time, of this worker."""
    sys.stderr.write(f"[{datetime.now(UTC):%H:%M:%S}] {line}\n")


def say_epoch(metrics: Mapping[str, float]) -> None:
    """Metrics of an epoch, in one line."""
    said = ", ".join(f"{name}={value:.4g}" for name, value in metrics.items() if name != "epoch")
    say_here(f"epoch {metrics['epoch']:g}: {said}")
