"""A folder for each class: what people's folders hold, and what is wrong with some."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingesting import ingest_all, ingest_split
from PIL import Image

from workloads.datasets.drawn_splits import draw_splits
from workloads.datasets.names import natural_key, ordered_classes, shown
from workloads.datasets.registry import open_dataset
from workloads.errors import ConfigError, InputRejected, NotFound
from workloads.shards.manifest import read_shard_manifest


def picture(path: Path, width: int = 12, height: int = 8) -> None:
    """A small picture in the format that its ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF"}.get(path.suffix.lower())
    shade = sum(str(path).encode()) % 256
    Image.new("RGB", (width, height), (shade, 9, 200)).save(path, kind or path.suffix[1:].upper())


def pictures(root: Path, *names: str) -> Path:
    for name in names:
        picture(root / name)
    return root


def boxes_file(path: Path, file: str, name: str, box: list[float], **size: int) -> Path:
    """A COCO file with one box, numbered as Label Studio does: from 0."""
    document = {
        "images": [{"id": 0, "file_name": file, **size}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 7, "bbox": box, "iscrowd": 0}],
        "categories": [{"id": 3, "name": "unused"}, {"id": 7, "name": name}],
    }
    path.write_text(json.dumps(document))
    return path


def faults(root: Path, **options: object) -> dict[str, str]:
    dataset = open_dataset("folder", root, options)
    items = (item for split in dataset.splits() for item in dataset.items(split))
    return {item.image_id: item.fault for item in items if item.fault}


def test_split_folders_nested_mixed_and_named_in_any_script(tmp_path: Path) -> None:
    root = pictures(
        tmp_path / "raw",
        *("train/class 10/a.JPG", "train/class 2/deep/er/b.png", "train/class 2/b.webp"),
        *("train/小麦/c.bmp", "train/Cafe\u0301/d.TIFF", "valid/Caf\u00e9/d.jpeg"),
        "Testing/class 10/a.jpg",
    )
    (root / "train/class 2/notes.txt").write_text("not an image")
    (root / "train/.hidden").mkdir()
    picture(root / "train/class 2/.thumbnail.jpg")
    dataset = open_dataset("folder", root)
    assert dataset.splits() == ("train", "val", "test")
    assert dataset.classes == ("Caf\u00e9", "class 2", "class 10", "小麦")
    found = ingest_all(dataset, tmp_path / "shards")
    assert {key: record.truth.labels for key, record in found.items()} == {
        "class 10/a.JPG": (2,),
        "class 2/deep/er/b.png": (1,),
        "class 2/b.webp": (1,),
        "小麦/c.bmp": (3,),
        "Cafe\u0301/d.TIFF": (0,),
        "Caf\u00e9/d.jpeg": (0,),
        "class 10/a.jpg": (2,),
    }
    assert found["小麦/c.bmp"].image == (root / "train/小麦/c.bmp").read_bytes()
    manifest = read_shard_manifest(tmp_path / "shards")
    assert manifest.task == "singlelabel"
    assert {s.quarantined for s in manifest.splits.values()} == {0}


def test_without_splits_every_class_is_in_each_drawn_one(tmp_path: Path) -> None:
    names = [f"{kind}/{n}.png" for kind in ("cat", "dog") for n in range(20)]
    root = pictures(tmp_path, *names, "rare/1.png", "few/1.png", "few/2.png", "few/3.png")
    dataset = open_dataset("folder", root)
    split = {i.image_id: name for name in dataset.splits() for i in dataset.items(name)}
    counts = Counter((image_id.split("/")[0], name) for image_id, name in split.items())
    assert counts == {
        ("cat", "train"): 16, ("cat", "val"): 2, ("cat", "test"): 2,
        ("dog", "train"): 16, ("dog", "val"): 2, ("dog", "test"): 2,
        ("rare", "train"): 1,
        ("few", "train"): 1, ("few", "val"): 1, ("few", "test"): 1,
    }  # fmt: skip
    again = open_dataset("folder", root)
    assert [again.items(s) for s in again.splits()] == [dataset.items(s) for s in dataset.splits()]
    other = open_dataset("folder", root, {"split_seed": 1})
    assert [other.items(s) for s in other.splits()] != [dataset.items(s) for s in dataset.splits()]
    assert open_dataset("folder", root, {"test_share": 0}).splits() == ("train", "val")


def test_splits_that_are_given_stay_as_they_are_unless_asked(tmp_path: Path) -> None:
    root = pictures(tmp_path, *(f"train/cat/{n}.png" for n in range(10)), "test/cat/1.png")
    assert open_dataset("folder", root).splits() == ("train", "test")
    drawn = open_dataset("folder", root, {"val_share": 0.2})
    assert [len(drawn.items(split)) for split in ("train", "val", "test")] == [8, 2, 1]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    root = pictures(tmp_path, "cat/1.png", "train/1.png")
    with pytest.raises(InputRejected, match=r"'train'.*'cat'.*ingest\.options\.splits"):
        open_dataset("folder", root)
    assert open_dataset("folder", root, {"splits": "drawn"}).classes == ("cat", "train")
    pictures(root, "train/deep/1.png")
    assert open_dataset("folder", root, {"splits": "folders"}).classes == ("deep",)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    shares=st.tuples(st.floats(0, 0.49), st.floats(0, 0.49)),
    seed=st.integers(0, 99),
    order=st.randoms(),
)
def test_drawn_splits_depend_on_the_images_alone(sizes, shares, seed, order) -> None:
    images = [(str(group), f"{group}/{n}") for group, size in enumerate(sizes) for n in range(size)]
    wanted = dict(zip(("val", "test"), shares, strict=True))
    first = dict(zip(images, draw_splits(images, wanted, seed), strict=True))
    order.shuffle(images)
    assert dict(zip(images, draw_splits(images, wanted, seed), strict=True)) == first
    for group, size in enumerate(sizes):
        counts = Counter(split for (name, _), split in first.items() if name == str(group))
        assert counts["train"] >= 1
        for split, share in wanted.items():
            low = 1 if share > 0 and size >= 3 else 0
            assert low <= counts[split] + (counts["train"] == 1)
            assert counts[split] <= max(size * share + 0.5, 1)


def test_order_and_spelling_of_names() -> None:
    names = ["b10", "B9", "b1", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "b1", "B9", "b10"]
    assert shown(" e\u0301 ") == "\u00e9"
    with pytest.raises(InputRejected, match="'Cat' and 'cat'"):
        ordered_classes(["Cat", "cat"], "there")


@pytest.mark.parametrize("make", [lambda p: None, lambda p: (p / "cat").mkdir(parents=True)])
def test_nothing_to_read_says_what_is_looked_for(tmp_path: Path, make: Callable) -> None:
    make(tmp_path / "raw")
    with pytest.raises(NotFound, match="folder"):
        open_dataset("folder", tmp_path / "raw")


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path, monkeypatch) -> None:
    root = pictures(tmp_path / "raw", "cat/1.png", "cat/2.png", "locked/1.png", "stray.JPG")
    (root / "empty").mkdir()
    listing = os.scandir

    def locked(path):
        if Path(path).name == "locked":
            raise PermissionError
        return listing(path)

    monkeypatch.setattr(os, "scandir", locked)
    assert faults(root) == {
        "empty/": "the folder of this class has no images; add some or remove it",
        "locked/": "this user may not list the folder; change its permissions",
        "stray.JPG": "not in the folder of a class; move it into one",
    }
    dataset = open_dataset("folder", root)
    assert dataset.classes == ("cat",)
    found, bad = ingest_split(dataset, dataset.items("train"), tmp_path / "out")
    assert (len(found), len(bad)) == (2, 3)


def test_an_image_that_may_not_be_read_costs_itself(tmp_path, monkeypatch) -> None:
    root = pictures(tmp_path / "raw", "cat/1.png", "cat/2.png")
    opened = Path.open

    def refuse(path, *args, **kwargs):
        if path.name == "1.png":
            raise PermissionError(13, "no")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    dataset = open_dataset("folder", root)
    found, bad = ingest_split(dataset, dataset.items("train"), tmp_path / "out")
    assert [record.image_id for record in found] == ["cat/2.png"]
    assert "may not read it" in bad[0].reason


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path, "val/cat/1.png", "valid/cat/1.png")
    with pytest.raises(InputRejected, match="'val' and 'valid'"):
        open_dataset("folder", root)


def test_an_order_of_classes_may_be_written_down(tmp_path: Path) -> None:
    root = pictures(tmp_path, "cat/1.png", "ant/1.png")
    (root / "classes.txt").write_text("cat\nbee\nant\n")
    assert open_dataset("folder", root).classes == ("cat", "bee", "ant")
    (root / "classes.txt").write_text("cat\nbee\n")
    with pytest.raises(InputRejected, match="unknown class 'ant'"):
        open_dataset("folder", root)


# The box is x, y, width, height; the image is 12x8. Names as tools write them.
@pytest.mark.parametrize(
    "file", ["train/cat/2.png", "cat/2.png", r"images\cat\2.png", "/data/upload/2.png", "2.png"]
)
def test_boxes_of_a_few_images(tmp_path: Path, file: str) -> None:
    root = pictures(tmp_path / "raw", "train/cat/1.png", "train/cat/2.png", "train/dog/3.png")
    boxes = boxes_file(tmp_path / "few.json", file, "CAT", [1, 2, 3.5, 4], width=12, height=8)
    dataset = open_dataset("folder", root, {"boxes": str(boxes)})
    found = ingest_all(dataset, tmp_path / "shards")
    truth = found["cat/2.png"].truth
    np.testing.assert_array_equal(truth.boxes_xyxy, np.array([[1, 2, 4.5, 6]], np.float32))
    assert (truth.labels, truth.box_labels.tolist(), truth.blacklisted) == ((0,), [0], False)
    for name in ("cat/1.png", "dog/3.png"):
        assert found[name].truth.blacklisted
        assert len(found[name].truth.boxes_xyxy) == 0
    assert found["dog/3.png"].truth.labels == (1,)


@pytest.mark.parametrize(
    ("file", "name", "box", "size", "reason"),
    [
        ("cat/9.png", "cat", [1, 2, 3, 4], {}, "there is no such image"),
        ("dog/2.png", "cat", [1, 2, 3, 4], {}, "there is no such image"),
        ("1.png", "cat", [1, 2, 3, 4], {}, "several images are called that"),
        ("cat/2.png", "cart", [1, 2, 3, 4], {}, "unknown class 'cart'; did you mean 'cat'"),
        ("cat/2.png", "cat", [1, 2, 30, 4], {}, "outside the upright image of 12x8"),
        ("cat/2.png", "cat", [1, 2, 3, 4], {"width": 8, "height": 12}, "sides are swapped"),
    ],
)
def test_boxes_that_fit_nothing_are_told(tmp_path, file, name, box, size, reason) -> None:
    root = pictures(tmp_path / "raw", "train/cat/1.png", "train/cat/2.png", "train/dog/1.png")
    boxes = boxes_file(tmp_path / "few.json", file, name, box, **size)
    dataset = open_dataset("folder", root, {"boxes": str(boxes)})
    found, bad = ingest_split(dataset, dataset.items("train"), tmp_path / "out")
    assert len(bad) == 1
    assert reason in bad[0].reason
    assert len(found) == (2 if bad[0].image_id == "cat/2.png" else 3)


@pytest.mark.parametrize("text", ["{}", "[1]", '{"images": [}'])
def test_a_broken_file_of_boxes_is_named(tmp_path: Path, text: str) -> None:
    root = pictures(tmp_path / "raw", "cat/1.png")
    (root / "boxes.json").write_text(text)
    with pytest.raises(InputRejected, match=r"boxes\.json"):
        open_dataset("folder", root)
    assert open_dataset("folder", root, {"boxes": ""}).classes == ("cat",)
    with pytest.raises(NotFound, match="no such file of boxes"):
        open_dataset("folder", root, {"boxes": "elsewhere.json"})
    with pytest.raises(ConfigError, match="did you mean 'boxes'"):
        open_dataset("folder", root, {"boxs": "x"})
