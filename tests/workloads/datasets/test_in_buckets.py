"""Every data set in the registry is read from object storage as from a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from s3_endpoint import upload

from workloads.annotation.sources.folder import walk
from workloads.datasets.base import Item
from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import make_digits
from workloads.datasets.registry import DATASETS, open_dataset
from workloads.errors import NotFound
from workloads.images.decode import ImageLimits, decode
from workloads.storage.storage import storage_of

FEW = DigitsOptions(train=4, val=2, test=2, groups=(1.0,), companion=0.0, difficult=0.0)


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_finds_the_same(tmp_path: Path, bucket: Path, name: str) -> None:
    make_digits(tmp_path / "raw", FEW, layout=DATASETS[name])
    upload(tmp_path / "raw", bucket / "raw")
    here, there = open_dataset(name, tmp_path / "raw"), open_dataset(name, bucket / "raw")
    assert there.classes == here.classes
    assert there.splits() == here.splits()
    limits = ImageLimits()
    for split in here.splits():
        items, same = here.items(split), there.items(split)
        assert [comparable(item) for item in same] == [comparable(item) for item in items]
        first, again = items[0], same[0]
        data = here.read_image(first, limits)
        assert there.read_image(again, limits) == data
        height, width = decode(data, limits).shape[:2]
        truth = here.annotation(first, width, height)
        assert repr(there.annotation(again, width, height)) == repr(truth)


def comparable(item: Item) -> Item:
    """Where annotations lie differs; what they say is compared by reading them."""
    return replace(item, annotation="")


def test_what_is_not_there_is_not_found(bucket: Path) -> None:
    for name in DATASETS:
        with pytest.raises(NotFound):
            found = open_dataset(name, bucket / "none")
            found.items(found.splits()[0] if found.splits() else "train")


def test_images_are_listed_as_in_a_folder(tmp_path: Path, bucket: Path) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a.png", ".hidden/x.jpg", "b/.part", "ü 'x'.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(name.encode())
    upload(tmp_path / "images", bucket / "images")
    local = [(file.name, file.num_bytes) for file in walk(tmp_path / "images")]
    found = list(walk(bucket / "images"))
    assert [(file.name, file.num_bytes) for file in found] == local
    assert list(walk(bucket / "images")) == found  # times too: it is the same listing
    with pytest.raises(NotFound, match=r"no such folder"):
        walk(bucket / "none")
    with pytest.raises(NotFound, match="is a file"):
        walk(bucket / "images" / "a.png")
    assert storage_of(bucket).entries(bucket / "images" / "b") == [
        bucket / "images/b/.part",
        bucket / "images/b/1.jpg",
        bucket / "images/b/2.jpg",
    ]
