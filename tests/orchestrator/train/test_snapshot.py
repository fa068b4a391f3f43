"""Ray Train's list of checkpoints: torn by a kill, it is the last whole one again."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.workspace import RunPaths
from orchestrator.train.snapshot import keep, mend, snapshot_of
from workloads.storage.storage import storage_of

WHOLE = b'{"checkpoint_results": [1, 2]}'


@pytest.fixture
def snapshot(place: Path) -> Path:
    return snapshot_of(RunPaths(place / "runs" / "night"))


def write(path: Path, content: bytes) -> None:
    with storage_of(path).publish_file(path) as temporary:
        temporary.write_bytes(content)


def content(path: Path) -> bytes:
    with storage_of(path).open(path) as stream:
        return stream.read()


@pytest.mark.parametrize("torn", [b"", WHOLE[:-1], WHOLE[:7]])
def test_a_torn_list_is_the_one_before(snapshot: Path, torn: bytes) -> None:
    write(snapshot, WHOLE)
    keep(snapshot)
    write(snapshot, torn)
    mend(snapshot)
    assert content(snapshot) == WHOLE


def test_a_whole_list_stays(snapshot: Path) -> None:
    write(snapshot, WHOLE)
    keep(snapshot)
    newer = b'{"checkpoint_results": [2, 3]}'
    write(snapshot, newer)
    mend(snapshot)
    assert content(snapshot) == newer


def test_the_first_list_torn_is_no_list(snapshot: Path) -> None:
    """Nothing was trained that a checkpoint is left of: the training starts at its start."""
    write(snapshot, b"")
    mend(snapshot)
    assert not storage_of(snapshot).exists(snapshot)


def test_without_a_list_nothing_is_done(snapshot: Path) -> None:
    keep(snapshot)
    mend(snapshot)
    assert not storage_of(snapshot).exists(snapshot)
