"""Workers that stand still say for what they wait, until they move again."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from orchestrator.config.workspace import RunPaths
from orchestrator.train.stall import stalled, watched
from workloads.training.activity import Activity
from workloads.training.share import Share


def training(rank: int, waits_for: str) -> Any:
    return SimpleNamespace(activity=Activity(waits_for), team=SimpleNamespace(share=Share(rank, 2)))


def until(text: str, paths: RunPaths) -> None:
    give_up = time.monotonic() + 20
    while stalled(paths) != text:
        assert time.monotonic() < give_up, stalled(paths)
        time.sleep(0.02)


def test_who_waits_is_said_until_all_move(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    assert stalled(paths) == ""
    one, other = training(0, "the gradients of all workers"), training(1, "images")
    with watched(one, paths, 0.4), watched(other, paths, 0.4):
        until(
            "no step for 0 s: rank 0 waits for the gradients of all workers, rank 1 waits for "
            "images",
            paths,
        )
        give_up = time.monotonic() + 20
        while stalled(paths):
            one.activity.begin("images")
            other.activity.begin("images")
            assert time.monotonic() < give_up
            time.sleep(0.02)


def test_a_training_that_ends_leaves_no_note(tmp_path: Path) -> None:
    paths, one = RunPaths(tmp_path), training(0, "a checkpoint")
    with watched(one, paths, 0.1):
        until("no step for 0 s: rank 0 waits for a checkpoint", paths)
    assert stalled(paths) == ""
