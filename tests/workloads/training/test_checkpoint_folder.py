"""Checkpoints in a folder: whole, the last ones and the best one, whatever happens meanwhile."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from workloads.training import checkpoint_folder
from workloads.training.cadence import Cadence
from workloads.training.checkpoint_folder import CheckpointFolder, Mark
from workloads.training.checkpoints import State, load_checkpoint, save_checkpoint


def state(value: float = 0.0) -> State:
    network = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(network.weight, value)
    return State(network.state_dict(), torch.optim.SGD(network.parameters(), 0.1).state_dict())


def names(folder: CheckpointFolder) -> list[str]:
    return sorted(
        path.name for path in folder.folder.iterdir() if (path / "manifest.json").exists()
    )


def test_marks_sort_as_the_training_goes() -> None:
    marks = [Mark(0, 5), Mark(0, 40), Mark(1), Mark(1, 3), Mark(12)]
    assert sorted(mark.name for mark in marks) == [mark.name for mark in marks]


def test_the_last_ones_stay(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, Cadence(keep=2))
    assert folder.latest() is None
    for epoch in range(4):
        folder.save(Mark(epoch), state(epoch))
    folder.flush()
    assert names(folder) == [Mark(2).name, Mark(3).name]
    assert folder.last == folder.latest() == tmp_path / Mark(3).name
    assert load_checkpoint(folder.last).model["weight"][0, 0] == 3


def test_the_best_one_stays_too(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, Cadence(keep=1, keep_best=True))
    for epoch, score in enumerate([0.2, 0.9, None, 0.9, 0.1]):
        folder.save(Mark(epoch), state(), score)
    folder.flush()
    assert names(folder) == [Mark(1).name, Mark(4).name]
    assert folder.best() == tmp_path / Mark(1).name
    assert CheckpointFolder(tmp_path / "none").best() is None


def test_one_that_is_damaged_is_passed_over(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for epoch in (1, 2):
        folder.save(Mark(epoch), state())
    folder.flush()
    file = tmp_path / Mark(2).name / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert folder.latest() == tmp_path / Mark(1).name
    (tmp_path / Mark(3).name).mkdir()  # begun by a writer that was killed
    assert folder.latest() == tmp_path / Mark(1).name


def test_what_is_saved_is_the_moment_of_saving(tmp_path: Path) -> None:
    folder, network = CheckpointFolder(tmp_path), torch.nn.Linear(2, 1)
    torch.nn.init.constant_(network.weight, 1.0)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    folder.save(Mark(0), State(network.state_dict(), optimizer.state_dict()))
    torch.nn.init.constant_(network.weight, 2.0)
    folder.flush()
    assert load_checkpoint(tmp_path / Mark(0).name).model["weight"][0, 0] == 1


def test_a_full_disk_is_an_error_and_costs_no_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(Mark(0), state())
    folder.flush()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(checkpoint_folder, "save_checkpoint", full)
    folder.save(Mark(1), state())
    with pytest.raises(OSError, match="No space left"):
        folder.save(Mark(2), state())
    assert folder.latest() == tmp_path / Mark(0).name


def test_time_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    folder = CheckpointFolder(tmp_path, Cadence(minutes=2))
    clock[0] += 119
    assert not folder.is_time()
    clock[0] += 1
    assert folder.is_time()
    folder.save(Mark(0), state())
    assert not folder.is_time()
    assert not CheckpointFolder(tmp_path).is_time()


def test_one_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / Mark(1).name, state(1))
    folder = CheckpointFolder(tmp_path)
    folder.save(Mark(1), state(2))
    folder.flush()
    assert load_checkpoint(tmp_path / Mark(1).name).model["weight"][0, 0] == 2
