"""Workers that are real processes: one gradient, killed and continued, fewer than before."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import start
from team_training import train_in_team

from workloads.shards.read import read_shards
from workloads.tensors import read_tensors
from workloads.training.meter import TIMINGS
from workloads.training.team import Team, Wish


def run(
    folder: Path, shards: Path, world: int, kill: tuple[int, int] | None = None, **options: Any
) -> list[int]:
    """Exit codes of all workers of a training, one of which may kill itself after some steps."""
    folder.mkdir(exist_ok=True)
    meeting = folder / f"meeting-{time.time_ns()}"
    processes = []
    for rank in range(world):
        at = kill[1] if kill and kill[0] == rank else None
        arguments = (rank, world, meeting, folder, shards, options, at)
        processes.append(start(train_in_team, *arguments, said=folder / f"said-{rank}"))
    for process in processes:
        process.join(120)
    return [process.exitcode or 0 for process in processes]


def weights(folder: Path, rank: int = 0) -> dict[str, torch.Tensor]:
    return read_tensors(folder / f"weights-{rank}.safetensors")


def curve(folder: Path, rank: int = 0) -> list[dict[str, float]]:
    rows = json.loads((folder / f"curve-{rank}.json").read_text())
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]


def shown(folder: Path) -> list[dict[str, Any]]:
    lines = [line for file in folder.glob("shown-*") for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory, digit_shards: Path) -> Path:
    folder = tmp_path_factory.mktemp("team") / "peace"
    assert run(folder, digit_shards, 2) == [0, 0]
    return folder


def test_workers_have_one_network_and_share_the_images(peace: Path, digit_shards: Path) -> None:
    learned = [name for name in weights(peace) if "running" not in name and "num" not in name]
    for name in learned:
        assert torch.equal(weights(peace)[name], weights(peace, 1)[name]), name
    everything = sorted(record.image_id for record in read_shards(digit_shards, "train"))
    for epoch in (0, 1):
        rows = [row for row in shown(peace) if row["epoch"] == epoch]
        assert sorted(name for row in rows for name in row["images"]) == everything
    assert curve(peace) == curve(peace, 1)


@pytest.mark.parametrize(("rank", "steps"), [(0, 3), (1, 6)])
def test_a_worker_killed_and_continued_ends_bit_for_bit_the_same(
    peace: Path, digit_shards: Path, tmp_path: Path, rank: int, steps: int
) -> None:
    folder = tmp_path / "killed"
    codes = run(folder, digit_shards, 2, kill=(rank, steps))
    assert codes[rank] == -signal.SIGKILL
    assert codes[1 - rank] not in (0, -signal.SIGKILL)  # it lost its partner
    assert run(folder, digit_shards, 2) == [0, 0]
    assert_equal(weights(folder), weights(peace))
    assert curve(folder)[-1] == curve(peace)[-1]


@pytest.mark.parametrize(("rule", "batch", "factor"), [("total", 24, 1.0), ("worker", 12, 0.5)])
def test_with_fewer_workers_the_rest_of_an_epoch_is_shown_once(
    digit_shards: Path, tmp_path: Path, rule: str, batch: int, factor: float
) -> None:
    """Two workers die after two of four steps; one goes on."""
    folder = tmp_path / "fewer"
    options = {"batch_rule": rule, "schedule": "step"}
    run(folder, digit_shards, 2, kill=(1, 2), **options)
    before = [row for row in shown(folder) if row["step"] < 2]
    done = max(int(path.name[-8:]) for path in (folder / "checkpoints").glob("epoch-00000-*"))
    for file in folder.glob("shown-*"):
        file.unlink()
    assert run(folder, digit_shards, 1, **options) == [0]
    after = [row for row in shown(folder) if row["epoch"] == 0]
    counts = Counter(n for row in before if row["step"] < done for n in row["images"])
    counts.update(name for row in after for name in row["images"])
    everything = {record.image_id for record in read_shards(digit_shards, "train")}
    assert counts == dict.fromkeys(everything, 1)
    assert {len(row["images"]) for row in after} == {batch}
    assert {row["rate"] for row in after} == {0.05 * factor}
    (_, second) = curve(folder)
    assert second["epoch"] == 2


def test_a_worker_alone_agrees_with_itself_at_once() -> None:
    team = Team()
    wish = Wish.CHECKPOINT | Wish.LOOK_FOR_PREEMPTION
    assert team.agree(wish) == wish
    assert team.gather(3) == [3]
    assert team.first("x") == "x"
