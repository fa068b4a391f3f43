"""Records are read in order, however files and row groups cut them."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_shards import made_record, made_truth, write_shards

from workloads.errors import NotFound
from workloads.shards.manifest import shard_files
from workloads.shards.read import RowGroup, columns_of, read_shards, row_groups

TRUTH = made_truth((0, (0, 0, 9, 9)))


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 5))
def test_groups_and_files_hold_every_record_once_in_order(
    count: int, rows_per_file: int, rows_per_group: int
) -> None:
    records = [made_record(str(i), TRUTH, image=bytes([i])) for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        made = write_shards(
            Path(folder) / "s", records, "a",
            rows_per_file=rows_per_file, rows_per_group=rows_per_group,
        )  # fmt: skip
        groups = row_groups(made, "train")
        read = [record for group in groups for record in group.read()]
        for found in (read, list(read_shards(made, "train"))):
            assert [(r.image_id, r.image) for r in found] == [
                (r.image_id, r.image) for r in records
            ]
        assert [len(group.read()) for group in groups] == [group.rows for group in groups]
        assert max(group.rows for group in groups) <= min(rows_per_group, rows_per_file)
        assert len({(group.path, group.index) for group in groups}) == len(groups)


def test_a_row_group_travels_and_is_read_elsewhere(tmp_path: Path) -> None:
    records = [made_record(name, TRUTH) for name in "abc"]
    made = write_shards(tmp_path / "s", records, "a", rows_per_group=2)
    group: RowGroup = pickle.loads(pickle.dumps(row_groups(made, "train")[1]))
    assert (group.index, group.rows) == (1, 1)
    assert [record.image_id for record in group.read()] == ["c"]


def test_columns_are_read_alone_and_in_their_order(tmp_path: Path) -> None:
    made = write_shards(tmp_path / "s", [made_record("a", TRUTH, (7, 5))], "a")
    (file,) = shard_files(made, "train")
    assert columns_of(file, ["height", "image_id"]).to_pylist() == [{"height": 5, "image_id": "a"}]


def test_reading_is_lazy_and_an_unknown_split_is_said_before(tmp_path: Path) -> None:
    made = write_shards(tmp_path / "s", [made_record(n, TRUTH) for n in "ab"], "a", rows_per_file=1)
    shard_files(made, "train")[1].unlink()
    records = read_shards(made, "train")
    assert next(records).image_id == "a"
    with pytest.raises(FileNotFoundError):
        next(records)
    with pytest.raises(NotFound, match="unknown split 'test'"):
        read_shards(made, "test")
