"""What is stored in a workspace names its files so that they are found where it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.places import restored, stored

OLD, NEW = Path("/old/ws 1"), Path("/new")
VALUE = {
    "shards": "/old/ws 1/shards/digits",
    "source": "file:///old/ws%201/mlflow-artifacts/1/a",
    "images": ["/data/photos", "/old/ws 1", "/old/ws 12/x", 3, None],
    "nested": {"path": "/old/ws 1/a"},
}


def test_places_in_a_workspace_move_with_it_and_others_stay() -> None:
    assert restored(stored(VALUE, OLD), NEW) == {
        "shards": "/new/shards/digits",
        "source": "file:///new/mlflow-artifacts/1/a",
        "images": ["/data/photos", "/old/ws 1", "/old/ws 12/x", 3, None],
        "nested": {"path": "/new/a"},
    }


def test_where_it_was_is_not_in_what_is_stored() -> None:
    kept = stored({"a": VALUE["shards"], "b": VALUE["source"]}, OLD)
    assert kept == {
        "a": "here:/shards/digits",
        "b": "file-here:/mlflow-artifacts/1/a",
    }


@pytest.mark.parametrize("change", [stored, restored])
def test_outside_of_a_workspace_nothing_changes(change) -> None:
    assert change(VALUE, None) == VALUE
