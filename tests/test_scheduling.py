"""Tests that share a Ray run in one process, so that it is started once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ON_RAY = re.compile(r"\b(standing_ray|ray_cluster)\b")


def test_whatever_shares_the_ray_is_in_one_group(request: pytest.FixtureRequest) -> None:
    conftest = request.config.pluginmanager.get_plugin(str(TESTS / "conftest.py"))
    scheduler = object.__new__(conftest.ByFixtures)
    files = sorted((TESTS / "integration").glob("test_*.py"))
    shared = {file.stem for file in files if ON_RAY.search(file.read_text(encoding="utf-8"))}
    assert len(shared) >= 4
    for file in files:
        group = scheduler._split_scope(f"tests/integration/{file.name}::test_it[ray]")
        if file.stem in shared:
            assert group == "ray", file
    assert scheduler._split_scope("tests/test_a.py::test_it[1]") == "tests/test_a.py"
