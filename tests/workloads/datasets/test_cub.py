"""The CUB reader: five lists that must agree, and everything in which they may not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingesting import ingest_all

from workloads.datasets.base import DatasetOptions, Item
from workloads.datasets.cub import Cub
from workloads.datasets.digit_options import SingleDigitsOptions
from workloads.datasets.digits import CLASSES, draw_all
from workloads.datasets.remarks import reading
from workloads.errors import InputRejected, NotFound
from workloads.images.decode import ImageLimits, decode
from workloads.records import GroundTruth, Record
from workloads.shards.manifest import read_shard_manifest
from workloads.shards.write import split_duplicates

WIDTH, HEIGHT = 400, 350
ALBATROSS, SPARROW = "001.Black_footed_Albatross", "117.Clay_colored_Sparrow"
FILES = {
    "classes.txt": f"1 {ALBATROSS}\n117 {SPARROW}\n",
    "images.txt": f"1 {ALBATROSS}/A_18.jpg\n2 {ALBATROSS}/A_9.jpg\n3 {SPARROW}/S_1.jpg\n",
    "image_class_labels.txt": "1 1\n2 1\n3 117\n",
    "bounding_boxes.txt": "1 60.0 27.0 325.0 304.0\n2 0.5 0.0 1.0 2.0\n3 0.0 0.0 400.0 350.0\n",
    "train_test_split.txt": "1 0\n2 1\n3 1\n",
}
ANNOTATED = ("image_class_labels.txt", "bounding_boxes.txt", "train_test_split.txt")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "CUB_200_2011"
    (root / "images" / ALBATROSS).mkdir(parents=True)
    (root / "images" / ALBATROSS / "A_18.jpg").write_bytes(b"12345")
    for name, text in FILES.items():
        (root / name).write_text(text)
    return root


def add(tree: Path, name: str, line: str) -> None:
    (tree / name).write_text(f"{FILES[name]}{line}\n")


def all_items(tree: Path) -> list[Item]:
    dataset = Cub(tree)
    return [item for split in dataset.splits() for item in dataset.items(split)]


def faults(tree: Path) -> dict[str, str]:
    return {item.image_id: item.fault for item in all_items(tree) if item.fault}


def truth_of(tree: Path, annotation: str, *, clip: bool = False) -> GroundTruth:
    item = Item("a", "train", "a.jpg", annotation)
    return Cub(tree, DatasetOptions(clip_boxes=clip)).annotation(item, WIDTH, HEIGHT)


@pytest.mark.parametrize("above", [True, False])
def test_root_may_be_the_tree_or_the_folder_above(tree: Path, above: bool) -> None:
    dataset = Cub(tree.parent if above else tree)
    assert dataset.root == tree
    assert dataset.classes == (ALBATROSS, SPARROW)
    assert dataset.splits() == ("train", "test")


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no cub there; give the folder that holds images"):
        Cub(tmp_path)


def test_no_such_split(tree: Path) -> None:
    with pytest.raises(NotFound, match=r"unknown split 'val' \(allowed: test, train\)"):
        Cub(tree).items("val")


@pytest.mark.parametrize("name", ["classes.txt", *ANNOTATED])
def test_a_list_is_missing(tree: Path, name: str) -> None:
    (tree / name).unlink()
    with pytest.raises(NotFound, match=f"{name}: no such list"):
        Cub(tree).items("train")


@pytest.mark.parametrize("text", ["", "1 a\n1 b\n", "1 a\n1 a\n", "1 a\n2 a\n", "1 a\n2\n"])
def test_wrong_lists_of_classes(tree: Path, text: str) -> None:
    (tree / "classes.txt").write_text(text)
    with pytest.raises(InputRejected, match=r"classes.txt: a number or name is there twice or"):
        Cub(tree)


def test_items_are_listed_in_order_existing_or_not(tree: Path) -> None:
    assert Cub(tree).items("test") == [
        Item(
            image_id="A_18",
            split="test",
            image_path=f"images/{ALBATROSS}/A_18.jpg",
            annotation="1, 60.0 27.0 325.0 304.0",
            num_bytes=5,
        )
    ]
    first, second = Cub(tree).items("train")
    assert (first.image_id, first.num_bytes, first.fault) == ("A_9", 0, "")
    assert second.annotation == "117, 0.0 0.0 400.0 350.0"


def test_a_box_is_corner_and_size(tree: Path) -> None:
    dataset = Cub(tree)
    item = dataset.items("test")[0]
    truth = dataset.annotation(item, WIDTH, HEIGHT)
    np.testing.assert_array_equal(truth.boxes_xyxy, [[60, 27, 385, 331]])
    assert truth.boxes_xyxy.dtype == np.float32
    assert (truth.labels, truth.box_labels.tolist()) == ((0,), [0])
    assert truth_of(tree, "117, 0 0 400 350").labels == (1,)
    cut = truth_of(tree, "1, -1 2 500 10", clip=True)
    np.testing.assert_array_equal(cut.boxes_xyxy, [[0, 2, 400, 12]])


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ("", "image_class_labels.txt: unknown class ''"),
        ("2, 1 2 3 4", r"image_class_labels.txt: unknown class '2'.*\(allowed: 1, 117\)"),
        ("x, 1 2 3 4", "image_class_labels.txt: unknown class 'x'"),
        ("1", "bounding_boxes.txt: box '': give four numbers"),
        ("1 60, 2 3 4", "unknown class '1 60'"),
        ("1, 1 2 3", "box '1 2 3': give four numbers: x, y, width, height"),
        ("1, 1 2 3 4 5", "give four numbers"),
        ("1, 1 2 x 4", "a number of box '1 2 x 4' is 'x', not a number"),
        ("1, 1 2 inf 4", "'inf', not a number"),
        ("1, 1 2 0 4", "box '1 2 0 4' is inverted or empty"),
        ("1, 1 2 3 -4", "inverted or empty"),
        ("1, -1 2 3 4", "outside the upright image of 400x350"),
        ("1, 1 2 3 349", "outside"),
        ("1, 1e308 2 1e308 4", "outside"),
    ],
)
def test_wrong_annotations(tree: Path, annotation: str, reason: str) -> None:
    with reading(strict=True), pytest.raises(InputRejected, match=reason) as caught:
        truth_of(tree, annotation)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ANNOTATED)
def test_lines_that_are_missing_or_repeated(tree: Path, name: str) -> None:
    last = FILES[name].splitlines()[-1]
    (tree / name).write_text(FILES[name].replace(f"{last}\n", ""))
    assert faults(tree) == {"S_1": f"0 lines for image 3 in {name}; give one"}
    add(tree, name, last)
    assert faults(tree) == {"S_1": f"2 lines for image 3 in {name}; give one"}


@pytest.mark.parametrize("part", ["2", "train", ""])
def test_wrong_splits(tree: Path, part: str) -> None:
    (tree / "train_test_split.txt").write_text(f"1 0\n2 {part}\n3 1\n")
    reason = f"train_test_split.txt has '{part}' for image 2 (allowed: 0, 1); correct it"
    assert faults(tree) == {"A_9": reason}
    assert [item.image_id for item in Cub(tree).items("train")] == ["A_9", "S_1"]


@pytest.mark.parametrize("name", ANNOTATED)
def test_lines_without_their_image(tree: Path, name: str) -> None:
    add(tree, name, "9 0")
    reason = f"annotation without its image: 9 is in {name}, not in images.txt; "
    assert faults(tree) == {"image 9": f"{reason}list the image or remove the line"}
    assert len(Cub(tree).items("train")) == 3


def test_a_number_with_several_files_has_no_sure_annotation(tree: Path) -> None:
    add(tree, "images.txt", f"3 {SPARROW}/S_2.jpg")
    reason = "image 3 has several files in images.txt; its label and box may be another's"
    assert faults(tree) == {"S_1": reason, "S_2": reason}


@pytest.mark.parametrize("number", ["3", "4"])
def test_repeated_files_are_listed_and_found(tree: Path, number: str) -> None:
    add(tree, "images.txt", f"{number} {SPARROW}/S_1.jpg")
    items, repeated = split_duplicates(all_items(tree))
    assert len(items) == 3
    assert [(entry.image_id, entry.reason) for entry in repeated] == [
        ("S_1", "listed twice in split 'train'")
    ]
    assert not any(item.fault for item in items)


@pytest.mark.parametrize(
    ("line", "image_id"),
    [("4", "image 4"), ("4 ../../a.jpg", "a"), ("4 /a.jpg", "a"), ("4 a/..", ".")],
)
def test_lines_that_name_no_file(tree: Path, line: str, image_id: str) -> None:
    add(tree, "images.txt", line)
    for name, value in zip(ANNOTATED, ("1", "1 1 1 1", "1"), strict=True):
        add(tree, name, f"4 {value}")
    found = faults(tree)
    assert list(found) == [image_id]
    assert "is not a path below the data set's folder" in found[image_id]


def test_bytes_that_are_no_text_spoil_one_line(tree: Path) -> None:
    (tree / "bounding_boxes.txt").write_bytes(
        FILES["bounding_boxes.txt"].replace("0.5", "\0\udcff").encode(errors="surrogateescape")
    )
    dataset = Cub(tree)
    first, second = dataset.items("train")
    with pytest.raises(InputRejected, match="not a number"):
        dataset.annotation(first, WIDTH, HEIGHT)
    assert dataset.annotation(second, WIDTH, HEIGHT).labels == (1,)


@given(st.lists(st.sampled_from(["1", "117", "0", "1e309", "-1", "349.5", "x", "nan"])), st.text())
def test_any_line_is_read_or_refused(words: list[str], text: str) -> None:
    dataset = object.__new__(Cub)
    dataset.options, dataset._numbers = DatasetOptions(), ("1", "117")
    for annotation in (" ".join(words), f"1, {' '.join(words)}", text):
        with suppress(InputRejected):
            with reading() as remarks:
                truth = dataset.annotation(Item("a", "train", "a", annotation), WIDTH, HEIGHT)
            assert len(truth.labels) == len(truth.boxes_xyxy) + remarks.total() == 1


def digits() -> list[Record]:
    return list(draw_all(SingleDigitsOptions(train=6, val=2, test=3)))


def read_back(root: Path, out: Path) -> dict[str, Record]:
    return ingest_all(Cub(root), out)


def test_written_digits_are_read_back(tmp_path: Path) -> None:
    Cub.write(tmp_path / "raw", CLASSES, iter(digits()))
    assert Cub(tmp_path / "raw").classes == CLASSES
    found = read_back(tmp_path / "raw", tmp_path / "shards")
    records = [record for record in digits() if record.split != "val"]
    assert list(found) == [record.image_id for record in records]
    for record in records:
        same, limits = found[record.image_id], ImageLimits()
        assert (same.image, same.split) == (record.image, record.split)
        np.testing.assert_array_equal(decode(same.image, limits), decode(record.image, limits))
        assert same.truth.labels == record.truth.labels
        np.testing.assert_array_equal(same.truth.boxes_xyxy, record.truth.boxes_xyxy)
        np.testing.assert_array_equal(same.truth.box_labels, record.truth.box_labels)


def test_bad_images_are_quarantined_and_counts_add_up(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    Cub.write(root, CLASSES, digits())
    first, second, third = Cub(root).items("train")[:3]
    (root / first.image_path).unlink()
    boxes = (root / "bounding_boxes.txt").read_text().splitlines()
    (root / "bounding_boxes.txt").write_text("\n".join([boxes[0], "2 1 1 x 1", *boxes[2:], "99 1"]))
    with (root / "images.txt").open("a") as lines:
        lines.write(f"3 {third.image_path.removeprefix('images/')}\n")
    found = read_back(root, tmp_path / "shards")
    splits = read_shard_manifest(tmp_path / "shards").splits
    assert (splits["train"].listed, splits["train"].quarantined) == (8, 4)
    assert (splits["test"].listed, splits["test"].quarantined) == (3, 0)
    assert {first.image_id, second.image_id}.isdisjoint(found)


def interval(length: int) -> st.SearchStrategy[list[float]]:
    ends = st.lists(st.floats(0, length, width=32), min_size=2, max_size=2, unique=True)
    return ends.map(sorted)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(interval(WIDTH), interval(HEIGHT)), min_size=1))
def test_written_boxes_are_exact(sides: list[tuple[list[float], list[float]]]) -> None:
    boxes = np.array([[x[0], y[0], x[1], y[1]] for x, y in sides], np.float32)
    truths = [GroundTruth.from_boxes(box[None], np.array([1], np.int32)) for box in boxes]
    records = [Record(f"{i}", "test", b"", WIDTH, HEIGHT, t) for i, t in enumerate(truths)]
    with TemporaryDirectory() as folder:
        Cub.write(Path(folder), CLASSES, records)
        dataset = Cub(Path(folder))
        read = [dataset.annotation(item, WIDTH, HEIGHT) for item in dataset.items("test")]
    np.testing.assert_array_equal(np.concatenate([truth.boxes_xyxy for truth in read]), boxes)


BOX = np.array([[0, 0, 5, 5]], np.float32)
ONE = GroundTruth.from_boxes(BOX, np.array([1], np.int32))


@pytest.mark.parametrize(
    ("image_id", "truth", "reason"),
    [
        ("a", GroundTruth(), "0 classes, the layout has one per image"),
        ("a", GroundTruth(labels=(1,)), "0 boxes, the layout has one per image"),
        (
            "a",
            GroundTruth.from_boxes(np.repeat(BOX, 2, axis=0), np.array([1, 1], np.int32)),
            "2 boxes, the layout has one per image",
        ),
        ("a", replace(ONE, labels=(1, 2)), "2 classes"),
        ("a", replace(ONE, box_difficult=np.array([True])), "no difficult objects"),
        ("a/b", ONE, "not a plain file name"),
        ("a b", ONE, "holds white space"),
    ],
)
def test_records_that_the_layout_cannot_hold(
    tmp_path: Path, image_id: str, truth: GroundTruth, reason: str
) -> None:
    record = Record(image_id, "train", b"", WIDTH, HEIGHT, truth)
    with pytest.raises(ValueError, match=reason):
        Cub.write(tmp_path, CLASSES, [record])
