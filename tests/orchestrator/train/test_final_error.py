"""An error that another attempt would only repeat ends a training at once, as the worker met it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.workspace import RunPaths
from orchestrator.train.final_error import final_error_raised, has_final_error, noted_if_final
from orchestrator.train.worker import train_worker
from workloads.errors import IntegrityError, ResourceError, WsolError


def _attempt(paths: RunPaths, error: Exception) -> None:
    """One that Ray Train would tell of in words of its own."""
    with pytest.raises(type(error)), noted_if_final(paths):
        raise error


def test_the_first_note_is_raised_and_another_attempt_ends_at_once(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    with pytest.raises(IntegrityError, match=r"a\.parquet: changed"), final_error_raised(paths):
        _attempt(paths, IntegrityError("a.parquet: changed"))
        _attempt(paths, WsolError("its neighbour was lost"))
        train_worker({"folder": str(paths.folder)})  # all that a worker would need is not there
        raise RuntimeError("Ray Train: 2 workers failed")


def test_a_later_start_forgets_the_note(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    _attempt(paths, WsolError("diverged"))
    assert has_final_error(paths)
    with final_error_raised(paths):
        pass
    assert not has_final_error(paths)


@pytest.mark.parametrize("error", [ResourceError("disk full"), RuntimeError("lost"), OSError(28)])
def test_what_may_pass_is_tried_again(tmp_path: Path, error: Exception) -> None:
    paths = RunPaths(tmp_path)
    _attempt(paths, error)
    assert not has_final_error(paths)
