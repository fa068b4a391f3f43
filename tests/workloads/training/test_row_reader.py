"""Rows are read in any order, each group once, and let go when they are not needed any more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_shards import made_record, write_shards

from workloads.errors import IntegrityError
from workloads.records import GroundTruth
from workloads.shards.read import RowGroup, row_groups
from workloads.training.row_reader import RowReader

ROWS = 20


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> list[RowGroup]:
    records = [made_record(f"{i}", GroundTruth((0,)), (8, 8)) for i in range(ROWS)]
    folder = tmp_path_factory.mktemp("made") / "shards"
    write_shards(folder, records, ("a",), rows_per_file=8, rows_per_group=3)
    return row_groups(folder, "train")


@given(rows=st.lists(st.integers(0, ROWS - 1), max_size=40))
def test_it_gives_the_rows_that_are_asked_for(groups: list[RowGroup], rows: list[int]) -> None:
    records = RowReader(groups).records(np.array(rows, dtype=np.int64))
    assert [record.image_id for record in records] == [str(row) for row in rows]


def test_a_group_is_read_once(groups: list[RowGroup], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[RowGroup] = []
    whole = RowGroup.read
    monkeypatch.setattr(RowGroup, "read", lambda group: (read.append(group), whole(group))[1])
    rows = np.random.default_rng(0).permutation(ROWS)
    assert len(list(RowReader(groups).records(rows))) == ROWS
    assert sorted(read, key=groups.index) == groups


def test_a_shard_that_changes_is_named(groups: list[RowGroup], tmp_path: Path) -> None:
    gone = [RowGroup(tmp_path / "train-00000.parquet", 0, 3)]
    with pytest.raises(IntegrityError, match=r"train-00000\.parquet: cannot be read any more"):
        next(RowReader(gone).records(np.array([0])))
    gone[0].path.write_bytes(groups[0].path.read_bytes()[:-200])
    with pytest.raises(IntegrityError, match="cannot be read any more"):
        next(RowReader(gone).records(np.array([0])))
    shorter = [RowGroup(groups[0].path, 0, 4), *groups[1:]]
    with pytest.raises(IntegrityError, match="has 3 rows, 4 when the training began"):
        next(RowReader(shorter).records(np.array([0])))
