"""Shards: bytes survive, bad images are quarantined, counts add up, a full disk ends it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from workloads.artifacts import is_sealed, verify
from workloads.datasets import base
from workloads.datasets.base import Item
from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import Digits, draw_all, make_digits
from workloads.errors import InputRejected, IntegrityError, NotFound
from workloads.images.decode import ImageLimits
from workloads.records import RECORD_SCHEMA, GroundTruth
from workloads.shards import write as shards
from workloads.shards.cooccurrence import cooccurrence
from workloads.shards.manifest import read_shard_manifest, shard_files
from workloads.shards.quarantine import Quarantined
from workloads.shards.read import read_shards
from workloads.shards.write import (
    ShardResult,
    finish_shards,
    ingest_shard,
    plan_shards,
    split_duplicates,
)

OPTIONS = DigitsOptions(train=12, val=4, test=3)
LIMITS = ImageLimits()


@pytest.fixture
def digits(tmp_path: Path) -> Digits:
    make_digits(tmp_path / "digits", OPTIONS)
    return Digits(tmp_path / "digits")


def ingest(dataset: Digits, folder: Path, target_bytes: int = 10_000) -> list[ShardResult]:
    items, repeated = split_duplicates(
        item for split in dataset.splits() for item in dataset.items(split)
    )
    results = []
    for split in dataset.splits():
        plan = plan_shards([item for item in items if item.split == split], target_bytes)
        results += [
            ingest_shard(dataset, chunk, folder / f"{split}-{index:05d}.parquet", LIMITS)
            for index, chunk in enumerate(plan)
        ]
    finish_shards(folder, dataset, listed(dataset), results, repeated)
    return results


def listed(dataset: Digits) -> dict[str, int]:
    return {split: len(dataset.items(split)) for split in dataset.splits()}


def quarantine(folder: Path) -> list[dict[str, str]]:
    text = (folder / "quarantine.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_round_trip(digits: Digits, tmp_path: Path) -> None:
    results = ingest(digits, tmp_path / "shards")
    assert len(results) > 3
    for split in digits.splits():
        drawn = [record for record in draw_all(OPTIONS) if record.split == split]
        read = list(read_shards(tmp_path / "shards", split))
        assert len(read) == len(drawn)
        for ours, theirs in zip(read, drawn, strict=True):
            assert (ours.image_id, ours.split, ours.width, ours.height, ours.image) == (
                theirs.image_id,
                theirs.split,
                theirs.width,
                theirs.height,
                theirs.image,
            )
            for column in dataclasses.fields(GroundTruth):
                a, b = getattr(ours.truth, column.name), getattr(theirs.truth, column.name)
                np.testing.assert_array_equal(a, b)


def test_manifest(digits: Digits, tmp_path: Path) -> None:
    results = ingest(digits, tmp_path / "shards")
    verify(tmp_path / "shards", "shards")
    manifest = read_shard_manifest(tmp_path / "shards")
    assert (manifest.dataset, manifest.task) == ("digits", "multilabel")
    assert manifest.classes == digits.classes
    train = manifest.splits["train"]
    assert (train.listed, train.read, train.quarantined) == (12, 12, 0)
    assert sum(shard.rows for shard in train.shards) == 12
    labels = [
        label
        for record in read_shards(tmp_path / "shards", "train")
        for label in record.truth.labels
    ]
    assert list(train.label_counts) == np.bincount(labels, minlength=10).tolist()
    assert {result.split for result in results} == set(manifest.splits)
    assert shard_files(tmp_path / "shards", "val")[0].name == "val-00000.parquet"


def test_files_are_plain_parquet_in_small_row_groups(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 5)
    result = ingest_shard(digits, digits.items("train"), tmp_path / "a.parquet", LIMITS)
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert file.schema_arrow.equals(RECORD_SCHEMA)
    assert [file.metadata.row_group(i).num_rows for i in range(3)] == [5, 5, 2]
    columns = [file.metadata.row_group(0).column(i) for i in range(file.metadata.num_columns)]
    for column in columns:
        image = column.path_in_schema == "image"
        assert column.compression == ("UNCOMPRESSED" if image else "ZSTD")
        assert column.is_stats_set is not image
    assert result.num_bytes == (tmp_path / "a.parquet").stat().st_size
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert frame["image_id"].tolist() == [item.image_id for item in digits.items("train")]
    assert frame["image"][0] == (digits.root / digits.items("train")[0].image_path).read_bytes()


def test_equal_input_makes_equal_shards(digits: Digits, tmp_path: Path) -> None:
    items = digits.items("train")
    one = ingest_shard(digits, items, tmp_path / "one" / "a.parquet", LIMITS)
    assert ingest_shard(digits, items, tmp_path / "two" / "a.parquet", LIMITS) == one


def test_bad_images_are_quarantined_and_counts_add_up(digits: Digits, tmp_path: Path) -> None:
    first, second, third, fourth, fifth, *_ = digits.items("train")
    (digits.root / first.image_path).write_bytes(b"")
    (digits.root / second.image_path).unlink()
    os.truncate(digits.root / third.image_path, 1000)
    (digits.root / fourth.annotation).unlink()
    (digits.root / fifth.image_path).unlink()
    (digits.root / fifth.image_path).mkdir()
    results = ingest(digits, tmp_path / "shards")
    train = read_shard_manifest(tmp_path / "shards").splits["train"]
    assert (train.listed, train.read, train.quarantined) == (12, 7, 5)
    entries = quarantine(tmp_path / "shards")
    assert [entry["image_id"] for entry in entries] == [f"train_00000{i}" for i in range(5)]
    assert [entry["path"] for entry in entries][:2] == [
        first.image_path,
        second.image_path,
    ]
    reasons = ["is empty", "no such file", "truncated", "Annotations/train_000003.xml", "no such"]
    for entry, reason in zip(entries, reasons, strict=True):
        assert reason in entry["reason"]
        assert entry["split"] == "train"
    assert sum(result.rows for result in results if result.split == "train") == 7


def test_too_large_files_are_not_read(digits: Digits, tmp_path: Path) -> None:
    item = digits.items("train")[0]
    os.truncate(digits.root / item.image_path, LIMITS.max_bytes + 1)
    result = ingest_shard(digits, [item], tmp_path / "a.parquet", LIMITS)
    assert "67108865 bytes, at most 67108864" in result.quarantined[0].reason


def test_a_shard_may_end_up_empty(digits: Digits, tmp_path: Path) -> None:
    for item in digits.items("test"):
        (digits.root / item.image_path).unlink()
    ingest(digits, tmp_path / "shards")
    assert list(read_shards(tmp_path / "shards", "test")) == []
    assert read_shard_manifest(tmp_path / "shards").splits["test"].quarantined == 3
    assert not cooccurrence(tmp_path / "shards", "test", 10).any()


def test_listed_twice(digits: Digits, tmp_path: Path) -> None:
    path = digits.root / "ImageSets/Main/train.txt"
    path.write_text(path.read_text() + "train_000003\n")
    ingest(digits, tmp_path / "shards")
    train = read_shard_manifest(tmp_path / "shards").splits["train"]
    assert (train.listed, train.read, train.quarantined) == (13, 12, 1)
    assert quarantine(tmp_path / "shards")[0]["reason"] == "listed twice in split 'train'"


def test_one_id_in_two_splits_is_no_repetition() -> None:
    items = [Item("a", split, "a.jpg") for split in ("train", "val", "train")]
    kept, repeated = split_duplicates(items)
    assert [item.split for item in kept] == ["train", "val"]
    assert repeated == [Quarantined("a", "a.jpg", "train", "listed twice in split 'train'")]


def item_of(size: int) -> Item:
    return Item(f"{size}", "train", "a.jpg", num_bytes=size)


@pytest.mark.parametrize(
    ("sizes", "plan"),
    [
        ([], []),
        ([3, 3, 3, 3], [[3, 3, 3], [3]]),
        ([5, 5, 1], [[5, 5], [1]]),
        ([99, 1, 1], [[99], [1, 1]]),
        ([1, 99, 1], [[1], [99], [1]]),
        ([0, 0, 0], [[0, 0, 0]]),
    ],
)
def test_plan(sizes: list[int], plan: list[list[int]]) -> None:
    shards_ = plan_shards([item_of(size) for size in sizes], 10)
    assert [[item.num_bytes for item in shard] for shard in shards_] == plan


def test_plan_needs_a_size() -> None:
    with pytest.raises(ValueError, match="target_bytes is 0"):
        plan_shards([], 0)


@pytest.mark.parametrize("splits", [[], ["train", "val"]])
def test_a_shard_has_one_split(digits: Digits, tmp_path: Path, splits: list[str]) -> None:
    items = [digits.items(split)[0] for split in splits]
    with pytest.raises(ValueError, match="one split"):
        ingest_shard(digits, items, tmp_path / "a.parquet", LIMITS)


def fail_with(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize(
    ("place", "name"), [(pq.ParquetWriter, "write_table"), (base, "read_image_bytes")]
)
def test_trouble_of_the_machine_ends_it_and_leaves_nothing(
    digits: Digits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: object,
    name: str,
    number: int,
) -> None:
    items = digits.items("train")
    monkeypatch.setattr(place, name, fail_with(number))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        ingest_shard(digits, items, tmp_path / "out" / "a.parquet", LIMITS)
    assert caught.value.errno == number
    assert list((tmp_path / "out").iterdir()) == []


def test_a_lost_shard_is_noticed(digits: Digits, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    result = ingest_shard(digits, digits.items("train"), folder / "a.parquet", LIMITS)
    with pytest.raises(IntegrityError, match=r"split 'test' .*0 read \+ 0 quarantined is not 3"):
        finish_shards(folder, digits, listed(digits), [result])
    assert not is_sealed(folder)


def finished_results(digits: Digits, folder: Path) -> list[ShardResult]:
    results = ingest(digits, folder)
    (folder / "manifest.json").unlink()
    return results


def test_a_changed_shard_is_noticed(digits: Digits, tmp_path: Path) -> None:
    results = finished_results(digits, tmp_path / "shards")
    with (tmp_path / "shards" / results[0].file).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(IntegrityError, match="changed since it was written"):
        finish_shards(tmp_path / "shards", digits, listed(digits), results)
    assert not is_sealed(tmp_path / "shards")


def test_missing_and_foreign_files_are_noticed(digits: Digits, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    results = finished_results(digits, folder)
    (folder / "foreign.parquet").touch()
    with pytest.raises(IntegrityError, match=r"foreign.parquet: not a shard of this data set"):
        finish_shards(folder, digits, listed(digits), results)
    (folder / "foreign.parquet").unlink()
    (folder / results[0].file).unlink()
    with pytest.raises(IntegrityError, match=f"{results[0].file}: missing"):
        finish_shards(folder, digits, listed(digits), results)


def test_results_survive_json(digits: Digits, tmp_path: Path) -> None:
    (digits.root / digits.items("val")[0].image_path).unlink()
    result = ingest_shard(digits, digits.items("val"), tmp_path / "a.parquet", LIMITS)
    values = json.loads(json.dumps(dataclasses.asdict(result)))
    values["quarantined"] = [Quarantined(**entry) for entry in values["quarantined"]]
    assert ShardResult(**values) == result


def test_unknown_split_and_missing_shards(digits: Digits, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no shards there"):
        shard_files(tmp_path, "train")
    ingest(digits, tmp_path / "shards")
    with pytest.raises(NotFound, match="unknown split 'tests'; did you mean 'test'"):
        shard_files(tmp_path / "shards", "tests")
    with pytest.raises(NotFound, match="unknown split"):
        list(read_shards(tmp_path / "shards", "trainval"))


def test_shards_of_another_version(digits: Digits, tmp_path: Path) -> None:
    ingest(digits, tmp_path / "shards")
    path = tmp_path / "shards" / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 1'))
    with pytest.raises(IntegrityError, match="schema version 1, this program reads 2"):
        read_shard_manifest(tmp_path / "shards")


def test_cooccurrence(digits: Digits, tmp_path: Path) -> None:
    ingest(digits, tmp_path / "shards")
    present = np.zeros((12, 10))
    for row, record in zip(present, read_shards(tmp_path / "shards", "train"), strict=True):
        row[list(record.truth.labels)] = 1
    p = cooccurrence(tmp_path / "shards", "train", 10)
    assert p.dtype == np.float64
    for i in range(10):
        for j in range(10):
            images = present[:, j].sum()
            both = (present[:, i] * present[:, j]).sum()
            assert p[i, j] == (both / images if images else 0)
    with pytest.raises(IntegrityError, match="there are 2 classes"):
        cooccurrence(tmp_path / "shards", "train", 2)


def test_difficult_labels_do_not_count(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard = GroundTruth.from_boxes(
        np.array([[0, 0, 5, 5]], np.float32), np.array([4], np.int32), np.array([True])
    )
    monkeypatch.setattr(Digits, "annotation", lambda *_: hard)
    ingest(digits, tmp_path / "shards")
    assert not any(read_shard_manifest(tmp_path / "shards").splits["train"].label_counts)
    assert not cooccurrence(tmp_path / "shards", "train", 10).any()


def test_rejections_of_any_reader_are_quarantined(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reject(*_: object) -> GroundTruth:
        raise InputRejected("a reason")

    monkeypatch.setattr(Digits, "annotation", reject)
    result = ingest_shard(digits, digits.items("val"), tmp_path / "a.parquet", LIMITS)
    assert {entry.reason for entry in result.quarantined} == {"a reason"}


def test_overlong_names_are_missing_files(digits: Digits, tmp_path: Path) -> None:
    path = digits.root / "ImageSets/Main/val.txt"
    path.write_text(path.read_text() + "x" * 400 + "\n")
    ingest(digits, tmp_path / "shards")
    assert "no such file" in quarantine(tmp_path / "shards")[0]["reason"]
