"""Row groups and shards stay within their limits and lose nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_shards import made_truth, plain_image

from workloads.artifacts import QUARANTINE, is_sealed
from workloads.datasets.base import Dataset, Item
from workloads.errors import InputRejected, IntegrityError
from workloads.images.decode import ImageLimits
from workloads.records import GroundTruth
from workloads.shards import write
from workloads.shards.ingest import ingest
from workloads.shards.write import finish_shards, ingest_shard, plan_shards, split_duplicates


class Plain(Dataset):
    """Images of one folder; each has one object of the class of its place in the list."""

    name, task = "plain", "multilabel"

    @property
    def classes(self) -> tuple[str, ...]:
        return ("a", "b")

    def splits(self) -> tuple[str, ...]:
        return ("train", "val")

    def items(self, split: str) -> list[Item]:
        names = json.loads((self.root / f"{split}.json").read_text())
        return [Item(n, split, f"{n}.png", str(i % 2), 100) for i, n in enumerate(names)]

    def write(self, *_: object) -> None:
        raise NotImplementedError

    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        if item.image_id.startswith("bad"):
            raise InputRejected(f"{item.image_id}: no truth")
        return made_truth((int(item.annotation), (0, 0, width, height)))


def plain(folder: Path, train: list[str], val: Sequence[str] = ()) -> Plain:
    for split, names in (("train", train), ("val", val)):
        (folder / f"{split}.json").write_text(json.dumps(list(names)))
        for name in {*names} - {"gone"}:
            (folder / f"{name}.png").write_bytes(plain_image((8, 6)))
    return Plain(folder)


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 40))
def test_a_plan_keeps_the_order_and_the_limit(sizes: list[int], limit: int) -> None:
    items = [Item(str(i), "s", str(i), num_bytes=size) for i, size in enumerate(sizes)]
    shards = plan_shards(items, limit)
    assert [item for shard in shards for item in shard] == items
    for shard in shards:
        assert len(shard) == 1 or sum(item.num_bytes for item in shard) <= limit
    for shard, after in itertools.pairwise(shards):  # none ends before it must
        assert sum(item.num_bytes for item in (*shard, after[0])) > limit


@given(st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("abc")), max_size=12))
def test_the_first_of_each_stays(names: list[tuple[str, str]]) -> None:
    items = [Item(name, split, f"{i}") for i, (split, name) in enumerate(names)]
    kept, repeated = split_duplicates(items)
    assert [(i.split, i.image_id) for i in kept] == list(dict.fromkeys(names))
    assert len(kept) + len(repeated) == len(items)
    assert all(i.image_path == str(names.index((i.split, i.image_id))) for i in kept)
    assert {e.reason for e in repeated} <= {f"listed twice in split '{s}'" for s in "xy"}


@pytest.mark.parametrize(
    ("rows", "num_bytes", "expected"), [(2, 10**6, [2, 2, 1]), (9, 1, [1] * 5), (5, 10**6, [5])]
)
def test_row_groups_keep_both_limits(
    rows: int, num_bytes: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "ROWS_PER_GROUP", rows)
    monkeypatch.setattr(write, "BYTES_PER_GROUP", num_bytes)
    dataset = plain(tmp_path, list("vwxyz"))
    result = ingest_shard(dataset, dataset.items("train"), tmp_path / "s.parquet", ImageLimits())
    data = pq.read_metadata(tmp_path / "s.parquet")
    assert [data.row_group(i).num_rows for i in range(data.num_row_groups)] == expected
    assert (result.rows, result.label_counts) == (5, [3, 2])


def test_faults_are_quarantined_with_their_reasons_and_do_not_count(tmp_path: Path) -> None:
    dataset = plain(tmp_path, ["x", "gone", "bad1", "text", "y"])
    (tmp_path / "text.png").write_text("no image")
    items = dataset.items("train")
    items.append(Item("z", "train", "x.png", "0", 1, fault="two classes"))
    result = ingest_shard(dataset, items, tmp_path / "s.parquet", ImageLimits())
    reasons = {entry.image_id: entry.reason for entry in result.quarantined}
    assert reasons.pop("text")
    assert reasons == {
        "gone": "no such file; add it or unlist the image",
        "bad1": "bad1: no truth",
        "z": "two classes",
    }
    assert (result.rows, result.label_counts) == (2, [2, 0])


def test_counts_that_do_not_add_up_are_refused_and_nothing_is_sealed(tmp_path: Path) -> None:
    dataset = plain(tmp_path, ["x", "y"])
    folder = tmp_path / "out"
    result = ingest_shard(dataset, dataset.items("train"), folder / "s.parquet", ImageLimits())
    with pytest.raises(IntegrityError) as caught:
        finish_shards(folder, dataset, {"train": 3}, [result])
    assert str(caught.value) == (
        "split 'train' of plain: 2 read + 0 quarantined is not 3 listed; "
        "the lists changed or shards are missing; ingest again"
    )
    with pytest.raises(IntegrityError, match="two shards have one file name"):
        finish_shards(folder, dataset, {"train": 4}, [result, result])
    assert not is_sealed(folder)


def test_quarantine_is_sorted_whatever_the_order_of_the_shards(tmp_path: Path) -> None:
    dataset = plain(tmp_path, ["bad2", "x", "bad1"], ["bad0"])
    found = [
        ingest(dataset, tmp_path / name, splits, shard_bytes=100)
        for name, splits in (("one", ("train", "val")), ("two", ("val", "train")))
    ]
    texts = {(shards.folder / QUARANTINE).read_text() for shards in found}
    (text,) = texts
    assert [json.loads(line)["image_id"] for line in text.splitlines()] == ["bad1", "bad2", "bad0"]
