"""The benchmark of exports compares two ways to the same file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workloads.benchmarks import export


def test_both_ways_write_the_same_and_a_difference_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = export.make_store(tmp_path, 30)
    export._require_the_same(tmp_path)
    document = json.loads((tmp_path / "plain.json").read_text())
    assert len(document["images"]) == 30
    assert len(document["annotations"]) == 30 * export.BOXES
    monkeypatch.setitem(export._IMAGE, "width", "height")
    with pytest.raises(AssertionError, match="write different files"):
        export._require_the_same(store.folder)
