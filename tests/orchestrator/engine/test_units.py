"""A folder belongs to one request."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engine.claims import claim
from workloads.artifacts import seal, write_json
from workloads.errors import Conflict


def test_a_request_is_written_first_and_finished_when_sealed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert not claim(out, {"a": 1}, "shards")
    assert not claim(out, {"a": 1}, "shards")
    seal(out)
    assert claim(out, {"a": 1}, "shards")


def test_the_request_is_not_part_of_the_content(tmp_path: Path) -> None:
    digests = set()
    for name in ("here", "there"):
        claim(tmp_path / name, {"root": str(tmp_path / name)}, "shards")
        digests.add(seal(tmp_path / name)["digest"])
    assert len(digests) == 1


def test_another_request_is_refused(tmp_path: Path) -> None:
    claim(tmp_path, {"a": 1}, "shards")
    with pytest.raises(Conflict, match="holds shards made from something else"):
        claim(tmp_path, {"a": 2}, "shards")


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "precious.json", 1)
    with pytest.raises(Conflict, match="holds something else than shards"):
        claim(tmp_path, {"a": 1}, "shards")
    assert [path.name for path in tmp_path.iterdir()] == ["precious.json"]


def test_what_a_killed_writer_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".request.json.0.tmp").write_text("{")
    assert not claim(tmp_path, {"a": 1}, "shards")
