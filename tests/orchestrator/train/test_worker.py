"""What a training worker writes down, and in which order; Ray is not started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.config.workspace import RunPaths
from orchestrator.tracking.events import learning_curves, read_events
from orchestrator.train.worker import Reporter, run_to_the_end
from workloads.training.run import Position
from workloads.training.share import Share


class Killed(BaseException):
    """Stands for SIGKILL while the checkpoint of an epoch is written."""


class OneEpoch:
    """A training that is killed when it wants to save its epoch."""

    result = None

    def __init__(self, rank: int) -> None:
        self.team = SimpleNamespace(share=Share(rank, 2))

    def resume(self) -> bool:
        return False

    def epochs(self, _: Any) -> Iterator[dict[str, float]]:
        yield {"epoch": 3, "loss": 0.5}
        raise Killed


@pytest.mark.parametrize("rank", [0, 1])
def test_an_epoch_is_in_the_event_log_before_it_has_a_checkpoint(
    tmp_path: Path, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an epoch that is not trained again would be missing from it."""
    drawn: list[int] = []
    picture = SimpleNamespace(draw=lambda _: drawn.append(rank))
    monkeypatch.setattr("orchestrator.train.preview.Preview", lambda *_: picture)
    paths = RunPaths(tmp_path)
    with pytest.raises(Killed):
        run_to_the_end(OneEpoch(rank), None, paths, stall_s=60, says=False)
    told = [{"epoch": 3, "loss": 0.5}] if rank == 0 else []
    assert learning_curves(paths.events) == told
    assert drawn == [0] * len(told)


def test_positions_are_written_once_a_second_and_steps_with_metrics_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    paths = RunPaths(tmp_path)
    reporter = Reporter(paths)

    def at(images: int, metrics: dict[str, float] | None = None) -> dict[str, int]:
        reporter(Position(1, images // 4, 10, images, 80, metrics))
        return json.loads(paths.progress.read_text())

    assert at(44) == {"done": 44, "total": 80}
    clock[0] += 0.5
    assert at(48, {"loss": 2.0}) == {"done": 44, "total": 80}
    clock[0] += 0.5
    assert at(52) == {"done": 52, "total": 80}
    assert at(80) == {"done": 80, "total": 80}
    (event,) = read_events(paths.events)
    assert (event["step"], event["metrics"]) == (1 * 10 + 12, {"step_loss": 2.0})
    assert learning_curves(paths.events) == []
