"""From a layout to sealed shards in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import Digits, make_digits
from workloads.errors import NotFound
from workloads.images.decode import ImageLimits
from workloads.shards.ingest import ingest


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, DigitsOptions(train=5, val=3, test=2))
    return Digits(folder)


def test_all_splits_are_taken_where_none_is_named(digits: Digits, tmp_path: Path) -> None:
    shards = ingest(digits, tmp_path / "s")
    assert {name: s.read for name, s in shards.splits.items()} == {"train": 5, "val": 3, "test": 2}
    assert (shards.dataset, shards.classes) == ("digits", digits.classes)
    shards.verify()


def test_a_shard_for_each_image_is_told_one_by_one(digits: Digits, tmp_path: Path) -> None:
    told: list[int] = []
    shards = ingest(digits, tmp_path / "s", ("val",), shard_bytes=1, on_images=told.append)
    assert told == [1, 1, 1]
    assert [p.name for p in shards.files("val")] == [f"val-0000{i}.parquet" for i in range(3)]
    whole = ingest(digits, tmp_path / "whole", ("val",))
    assert len(whole.files("val")) == 1
    assert [(r.image_id, r.image) for r in whole.records("val")] == [
        (r.image_id, r.image) for r in shards.records("val")
    ]


def test_ingesting_again_gives_the_same_digest(digits: Digits, tmp_path: Path) -> None:
    one, other = (ingest(digits, tmp_path / name, ("val", "test")) for name in "ab")
    assert one.digest == other.digest
    assert ingest(digits, tmp_path / "c", ("val",)).digest != one.digest


def test_images_over_the_limits_are_quarantined_and_all_are_accounted_for(
    digits: Digits, tmp_path: Path
) -> None:
    shards = ingest(digits, tmp_path / "s", ("val",), limits=ImageLimits(max_pixels=1))
    split = shards.splits["val"]
    assert (split.listed, split.read, split.quarantined) == (3, 0, 3)
    assert list(shards.records("val")) == []


def test_an_unknown_split_writes_nothing(digits: Digits, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"'vla'"):
        ingest(digits, tmp_path / "s", ("val", "vla"))
    assert not (tmp_path / "s").exists()
