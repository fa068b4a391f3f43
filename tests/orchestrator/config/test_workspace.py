"""Paths of a workspace: everything below its folder, nothing in two places."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.workspace import (
    PipelinePaths,
    PlanPaths,
    RunPaths,
    SweepPaths,
    Workspace,
)

DIGEST = "0123456789abcdef" * 4
ARGUMENTS = {
    "digest": DIGEST, "name": "first", "split": "val", "recipe": "digits-cam-tiny", "epoch": 3,
    "number": 2, "key": "k",
}  # fmt: skip
FOLDER = Path("ws")
NO_PATHS = ("folder", "place", "name", "tracking_uid", "begun", "runs", "records")


def paths_of(owner: Any) -> Iterator[tuple[str, Path]]:
    """Every path that an object names, by the name of its property or method."""
    for name in dir(type(owner)):
        if name.startswith("_") or name in NO_PATHS:
            continue
        value = getattr(owner, name)
        if callable(value):
            value = value(*(ARGUMENTS[p] for p in inspect.signature(value).parameters))
        if isinstance(value, RunPaths | PipelinePaths | SweepPaths):
            value = value.folder
        yield name, value


@pytest.mark.parametrize(
    "owner",
    [
        Workspace(FOLDER),
        RunPaths(FOLDER),
        PipelinePaths(FOLDER),
        SweepPaths(FOLDER),
        PlanPaths(FOLDER, None, ("a-1", "b-2", "c-3"), ("a-4", "b-5", "c-6")),
    ],
)
def test_everything_is_below_and_nothing_twice(owner: Any) -> None:
    found = dict(paths_of(owner))
    assert len(found) >= 5
    for name, path in found.items():
        assert FOLDER in path.parents, name
        assert ".." not in path.parts
    assert len(set(found.values())) == len(found)


def test_what_is_named_by_its_content_has_a_short_name() -> None:
    """16 of 64 hex digits: more than any workspace holds, and still readable."""
    place = Workspace(FOLDER)
    for path in (
        place.predictions(DIGEST, "val").parent,
        place.evaluation(DIGEST, "val").parent,
        place.proposals(DIGEST),
        place.inspection(DIGEST),
    ):
        assert path.name == DIGEST[:16]
    assert place.downloaded_model(DIGEST).name == DIGEST, "the whole: it is checked against it"


def test_metrics_lie_in_the_folder_of_their_evaluation() -> None:
    run = RunPaths(FOLDER)
    assert run.metrics("test") == run.evaluation("test") / "metrics.json"
    assert run.name == "ws"


def test_the_same_recipe_in_two_pipelines_has_two_runs() -> None:
    place = Workspace(FOLDER)
    one, other, reproduced = (
        paths.run("cam").folder
        for paths in (place.pipeline("a"), place.pipeline("b"), place.reproduction("a"))
    )
    assert len({one, other, reproduced, place.run("cam").folder}) == 4


def test_an_id_in_the_tracker_is_made_once_and_kept(tmp_path: Path) -> None:
    first, second = RunPaths(tmp_path / "a"), RunPaths(tmp_path / "b")
    for run in (first, second):
        run.folder.mkdir()
    uid = first.tracking_uid()
    assert re.fullmatch(r"[0-9a-f]{32}", uid)
    assert first.tracking_uid() == RunPaths(tmp_path / "a").tracking_uid() == uid
    assert second.tracking_uid() != uid


def test_a_folder_that_moved_keeps_its_id(tmp_path: Path) -> None:
    before = PipelinePaths(tmp_path / "a")
    before.folder.mkdir()
    uid = before.tracking_uid()
    before.folder.rename(tmp_path / "b")
    assert PipelinePaths(tmp_path / "b").tracking_uid() == uid
