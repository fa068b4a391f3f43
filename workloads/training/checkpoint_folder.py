"""The checkpoints of one run: written beside the training, and only those kept that are needed."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from workloads.artifacts import is_sealed, read_manifest, remove, unseal, verify
from workloads.errors import IntegrityError, NotFound
from workloads.storage.storage import storage_of
from workloads.training.cadence import Cadence
from workloads.training.checkpoints import State, save_checkpoint


class Mark(NamedTuple):
    """Place of a checkpoint in its training: after whole epochs, and steps of the next one."""

    epochs: int
    steps: int = 0

    @property
    def name(self) -> str:
        """A name that sorts as the marks do."""
        return f"epoch-{self.epochs:05d}-step-{self.steps:08d}"


class CheckpointFolder:
    """Checkpoints below one folder, on a disk or in a bucket.

    One is written at a time, in a thread, from a copy; whoever wants the next one first waits for
    it. A write that failed raises its error there.

    Attributes:
        last: the last one that was found or written whole; None without any.
    """

    def __init__(self, folder: Path, cadence: Cadence | None = None) -> None:
        self.folder = folder
        self.cadence = cadence or Cadence()
        self.last: Path | None = None
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[Path] | None = None
        self._saved_at = time.monotonic()

    def latest(self) -> Path | None:
        """The last one that is whole, with files that are what its manifest says."""
        self.last = next((path for path in reversed(self._sealed()) if _is_whole(path)), None)
        return self.last

    def best(self) -> Path | None:
        """The one with the highest score, the earlier of equal ones; None without scores."""
        scored = [(score, path) for path in self._sealed() if (score := _score(path)) is not None]
        return max(scored, key=lambda pair: pair[0])[1] if scored else None

    def is_time(self) -> bool:
        """Whether the last one is older than the minutes between two."""
        minutes = self.cadence.minutes
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes

    def save(self, mark: Mark, state: State, score: float | None = None) -> None:
        """Begin to write a checkpoint; its files appear later, whole.

        Args:
            score: the higher the better; only checkpoints with one can be the best.

        Raises:
            OSError: the one before could not be written.
        """
        self.flush()
        self._saved_at = time.monotonic()
        self._writing = self._pool.submit(self._write, mark, state.copied(), score)

    def flush(self) -> None:
        """Wait for the one that is being written.

        Raises:
            OSError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            self.last = writing.result()

    def _write(self, mark: Mark, state: State, score: float | None) -> Path:
        path = self.folder / mark.name
        save_checkpoint(path, state, score)
        self._forget(path)
        return path

    def _forget(self, newest: Path) -> None:
        """Remove those that need not stay."""
        found = [path for path in self._sealed() if path <= newest]
        stay = set(found[-self.cadence.keep :])
        if self.cadence.keep_best and (best := self.best()):
            stay.add(best)
        for path in found:
            if path not in stay:
                _remove(path)

    def _sealed(self) -> list[Path]:
        return sorted(filter(is_sealed, storage_of(self.folder).entries(self.folder)))


def _is_whole(path: Path) -> bool:
    try:
        verify(path, "checkpoint")
    except (IntegrityError, NotFound):
        return False
    return True


def _score(path: Path) -> float | None:
    score = read_manifest(path, "checkpoint").get("score")
    return None if score is None else float(score)


def _remove(checkpoint: Path) -> None:
    unseal(checkpoint)  # first: half of it must not count
    for file in storage_of(checkpoint).files(checkpoint):
        remove(file)
