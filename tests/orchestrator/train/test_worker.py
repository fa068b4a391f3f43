"""What a training worker reports; Ray is not started."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.tracking.events import learning_curves
from orchestrator.train.worker import _report
from workloads.training.share import Share


class Saved:
    """A training whose checkpoint is one file."""

    def save(self, folder: Path) -> None:
        (folder / "weights").write_bytes(b"1")


class Killed(BaseException):
    """Stands for SIGKILL at the moment of a report."""


@pytest.fixture(autouse=True)
def killed_in_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def report(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr("ray.train.report", report)


@pytest.mark.parametrize("rank", [0, 1])
def test_an_epoch_is_in_the_event_log_before_it_has_a_checkpoint(tmp_path: Path, rank: int) -> None:
    """Else an epoch that is not trained again would be missing from it."""
    events = tmp_path / "events.jsonl"
    with pytest.raises(Killed):
        _report(Saved(), {"epoch": 3, "loss": 0.5}, Share(rank, 2), events)
    told = [{"epoch": 3, "loss": 0.5}] if rank == 0 else []
    assert learning_curves(events) == told
