"""Which row groups are predicted when a part of a split is enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.predict import spread
from workloads.shards.read import RowGroup

GROUPS = [RowGroup(Path("a"), index, 100) for index in range(10)]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, range(10)),
        (1000, range(10)),
        (5000, range(10)),
        (500, [1, 3, 5, 7, 9]),
        (200, [2, 7]),
        (1, [5]),
    ],
)
def test_row_groups_are_spread_over_the_split(limit: int | None, expected: list[int]) -> None:
    assert [group.index for group in spread(GROUPS, limit)] == list(expected)
