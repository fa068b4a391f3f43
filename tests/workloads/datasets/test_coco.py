"""The COCO reader: one pass, gaps in category ids, every way a file can be wrong, round trips."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingesting import ingest_split

from workloads.datasets import coco_json
from workloads.datasets.base import Item
from workloads.datasets.boxes import BoxRules
from workloads.datasets.coco import Coco2014, Coco2017, CocoDataset, CocoOptions
from workloads.datasets.coco_json import Document, read_objects
from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import CLASSES, draw_all
from workloads.datasets.json_arrays import read_arrays
from workloads.datasets.registry import open_dataset
from workloads.datasets.remarks import reading
from workloads.errors import InputRejected, NotFound
from workloads.images.decode import ImageLimits, decode
from workloads.records import GroundTruth, Record
from workloads.shards.write import split_duplicates

WIDTH, HEIGHT = 100, 80
CATEGORIES = [
    {"supercategory": "animal", "id": 18, "name": "dog"},
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "animal", "id": 17, "name": "cat"},
]
LIMITS = ImageLimits()


def image(number: Any = 1, name: Any = "a.jpg", **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, **more}


def note(
    number: int, of: Any = 1, box: Any = (1, 2, 3, 4), category: Any = 18, **more: Any
) -> dict:
    outline = [[1.5, 2, 3, 4, 5, 6], [7, 8, 9, 1, 2, 3]]
    values = {"segmentation": outline, "area": 7.5, "image_id": of, "bbox": box}
    return {**values, "category_id": category, "id": number, **more}


def put(root: Path, split: str = "train2017", **arrays: Any) -> Path:
    content = {"info": {"year": 1, "x": [[], {}]}, "licenses": [{"id": 1}], **arrays}
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"categories": CATEGORIES, "images": [], "annotations": []} | content)
    )
    return path


def read(root: Path, *annotations: dict, clip: bool = False, **more: Any) -> GroundTruth:
    put(root, images=[image(**more)], annotations=annotations)
    dataset = Coco2017(root, CocoOptions(clip_boxes=clip))
    (item,) = dataset.items("train")
    assert not item.fault
    return dataset.annotation(item, WIDTH, HEIGHT)


@pytest.mark.parametrize("below", ["", "coco", "coco2017"])
def test_root_may_be_the_tree_or_a_folder_above(tmp_path: Path, below: str) -> None:
    put(tmp_path / below, images=[image()])
    dataset = open_dataset("coco2017", tmp_path)
    assert isinstance(dataset, Coco2017)
    assert dataset.root == tmp_path / below
    assert dataset.task == "multilabel"


def test_no_tree_and_another_year(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no coco2014 there; give the folder that holds annotations"):
        Coco2014(tmp_path)
    put(tmp_path)
    with pytest.raises(NotFound, match=r"no annotations/instances_<split>2014\.json there"):
        Coco2014(tmp_path)


def test_splits(tmp_path: Path) -> None:
    for name in ("val2017", "train2017", "train2014", "test2017", "2017"):
        put(tmp_path, name)
    (tmp_path / "annotations/captions_dev2017.json").write_text("{}")
    assert Coco2017(tmp_path).splits() == ("test", "train", "val")
    assert Coco2014(tmp_path).splits() == ("train",)
    with pytest.raises(NotFound, match=r"unknown split 'vla'; did you mean 'val'\?"):
        Coco2017(tmp_path).items("vla")


@pytest.mark.parametrize("folder", ["train2017", "images/train2017"])
def test_items_are_listed_in_order_existing_or_not(tmp_path: Path, folder: str) -> None:
    images = [image(7, "b.jpg"), image(3, "COCO_train2014_000000000003.jpg"), image(9, "x/c.jpg")]
    put(tmp_path, images=images, annotations=[note(5, 3), note(6, 7), note(7, 3, category=1)])
    (tmp_path / folder / "x").mkdir(parents=True)
    (tmp_path / folder / "b.jpg").write_bytes(b"12345")
    (tmp_path / folder / "x" / "c.jpg").write_bytes(b"123")
    first, second, third = Coco2017(tmp_path).items("train")
    assert first == Item(
        image_id="b",
        split="train",
        image_path=f"{folder}/b.jpg",
        annotation="[[100,80],[[6,18,[1,2,3,4],0]]]",
        num_bytes=5,
    )
    assert (second.image_id, second.num_bytes) == ("COCO_train2014_000000000003", 0)
    assert json.loads(second.annotation)[1] == [[5, 18, [1, 2, 3, 4], 0], [7, 1, [1, 2, 3, 4], 0]]
    assert (third.image_id, third.num_bytes) == ("x/c", 3)
    assert json.loads(third.annotation) == [[WIDTH, HEIGHT], []]


def test_the_order_of_the_arrays_does_not_matter(tmp_path: Path) -> None:
    arrays = {"categories": CATEGORIES, "images": [image()], "annotations": [note(1), note(2)]}
    path = put(tmp_path)
    found = set()
    for names in (sorted(arrays), sorted(arrays, reverse=True)):
        path.write_text(json.dumps({name: arrays[name] for name in names}))
        dataset = Coco2017(tmp_path)
        found.add(tuple(dataset.items("train")))
        assert dataset.classes == ("person", "cat", "dog")
    assert len(found) == 1


def test_boxes_and_classes(tmp_path: Path) -> None:
    truth = read(tmp_path, note(1, box=[1.25, 2, 3.5, 78]), note(2, category=1, iscrowd=1))
    np.testing.assert_array_equal(truth.boxes_xyxy, [[1.25, 2, 4.75, 80], [1, 2, 4, 6]])
    assert truth.boxes_xyxy.dtype == np.float32
    assert truth.box_labels.tolist() == [2, 0]
    assert truth.box_crowd.tolist() == [False, True]
    assert truth.labels == (0, 2)
    assert not truth.box_difficult.any()


def test_an_image_without_annotations_is_a_negative(tmp_path: Path) -> None:
    truth = read(tmp_path)
    assert truth.labels == ()
    assert truth.boxes_xyxy.shape == (0, 4)


def test_rounding_is_cut(tmp_path: Path) -> None:
    truth = read(tmp_path, note(1, box=[-0.01, 0, 100.02, 80.5]))
    np.testing.assert_array_equal(truth.boxes_xyxy, [[0, 0, 100, 80]])
    with pytest.raises(InputRejected, match=r"bbox x=0 y=0 width=100 height=80\.6 is"):
        read(tmp_path, note(1, box=[0, 0, 100, 80.6]))
    truth = read(tmp_path, note(1, box=[-5, 0, 300, 80.6]), clip=True)
    np.testing.assert_array_equal(truth.boxes_xyxy, [[0, 0, 100, 80]])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"category": 2}, "category_id 2 is not in 'categories'"),
        ({"category": "dog"}, "ids are numbers in one place and text in another"),
        ({"category": True}, "category_id true is not in"),
        ({"category": 18.5}, r"category_id 18\.5 is not in"),
        ({"category": [18]}, r"category_id \[18\] is not in"),
        ({"category": None}, "category_id null is not in"),
        ({"box": None}, "bbox is null; give four numbers: x, y, width, height"),
        ({"box": 5}, "bbox is 5; give"),
        ({"box": [1, 2, 3]}, r"bbox is \[1,2,3\]; give"),
        ({"box": [1, 2, 3, 4, 5, 6]}, r"bbox is \[1,2,3,4,5\]; give"),
        ({"box": [1, 2, "3", 4]}, "bbox is .*; give"),
        ({"box": [1, 2, True, 4]}, "bbox is .*; give"),
        ({"box": [1, 2, [[3]], {"a": [1]}]}, "bbox is .*; give"),
        ({"box": {"x": 1}}, r"bbox is \{\}; give"),
        ({"box": [1, 2, "NaN", 4]}, "bbox is .*; give"),
        ({"box": [1, 2, 0, 4]}, "bbox x=1 y=2 width=0 height=4 is inverted or empty"),
        ({"box": [1, 2, 4, -1]}, "height=-1 is inverted or empty"),
        ({"box": [90, 2, 1e-7, 4]}, "width=1e-07 .* is empty in single precision"),
        ({"box": [50, 2, 51, 4]}, "is outside the upright image of 100x80.*clip_boxes"),
        ({"box": [-1, 2, 5, 4]}, "x=-1 .* is outside"),
        ({"iscrowd": 2}, r"iscrowd is '2' \(allowed: 0, 1\)"),
        ({"iscrowd": "1"}, r"iscrowd is '1' \(allowed: 0, 1\)"),
        ({"iscrowd": [1]}, r"iscrowd is '\[1\]'"),
    ],
)
def test_wrong_annotations(tmp_path: Path, values: dict, reason: str) -> None:
    with reading(strict=True), pytest.raises(InputRejected, match=reason) as caught:
        read(tmp_path, note(3), note(4, **values))
    assert "annotations/instances_train2017.json: " in str(caught.value)
    assert "annotation 4: " in str(caught.value) or "ids are" in reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((80, 100), "says 80x100, the upright image is 100x80: the sides are swapped, as if"),
        ((100, 81), "in 'images' says 100x81, the upright image is 100x80; correct the size"),
        ((None, 80), "says Nonex80"),
        (("100", 80), "size of text"),
    ],
)
def test_another_size(tmp_path: Path, size: tuple, reason: str) -> None:
    with reading(strict=True), pytest.raises(InputRejected, match=reason):
        read(tmp_path, note(1), width=size[0], height=size[1])


def test_no_size_is_no_fault(tmp_path: Path) -> None:
    put(tmp_path, images=[{"id": 1, "file_name": "a.jpg"}], annotations=[note(1)])
    dataset = Coco2017(tmp_path)
    assert dataset.annotation(dataset.items("train")[0], 5, 7).labels == (2,)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, r"images\[1\] has no id or no file_name"),
        ("a", r"images\[1\] has no id"),
        ([[1]], r"images\[1\] has no id"),
        (image(number=None), r"images\[1\] has no id"),
        (image(number=True), r"images\[1\] has no id"),
        (image(2, name=3), r"images\[1\] has no id"),
        (image(2, name=""), "'' is not a path below the data set's folder"),
        (image(2, name="../b.jpg"), r"'\.\./b\.jpg' is not a path"),
        (image(2, name="/b.jpg"), "'/b.jpg' is not a path"),
        (image(2, name="b\0.jpg"), r"'b\\x00\.jpg' is not a path"),
    ],
)
def test_wrong_entries_of_images(tmp_path: Path, entry: Any, reason: str) -> None:
    put(tmp_path, images=[image(), entry], annotations=[note(1)])
    good, bad = Coco2017(tmp_path).items("train")
    assert not good.fault
    assert re.match(reason, bad.fault)


def test_annotations_without_their_image(tmp_path: Path) -> None:
    notes = [note(4, 8), note(5, 1), note(6, 8), note(7, "b"), note(8, None), note(9, 1.5)]
    put(tmp_path, images=[image()], annotations=[*notes, "x"])
    first, *others = Coco2017(tmp_path).items("train")
    assert not first.fault
    assert json.loads(first.annotation)[1] == [[5, 18, [1, 2, 3, 4], 0]]
    assert [item.image_id for item in others] == ["image_id 8", "image_id 'b'", "image_id None"]
    start = "annotation without its image: annotation "
    assert others[0].fault == (f"{start}4 has image_id 8, not in 'images'; correct or remove it")
    assert others[2].fault == f"{start}8 has no usable image_id; correct or remove it"


def test_repetitions(tmp_path: Path) -> None:
    images = [image(), image(), image(2), image(3, "c.jpg"), image(3, "d.jpg")]
    put(tmp_path, images=images, annotations=[note(4), note(5, 3)])
    items = Coco2017(tmp_path).items("train")
    assert [item.image_id for item in items] == ["a", "a", "a", "c", "d"]
    assert json.loads(items[0].annotation)[1]
    assert [bool(item.fault) for item in items] == [False, False, False, True, True]
    assert "image id 3 has several files" in items[3].fault
    kept, repeated = split_duplicates(items)
    assert (len(kept), len(repeated)) == (3, 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"not JSON before byte 0 \(parse error: premature EOF\); download or write it again"),
        ("[1, 2]", "not a JSON object; it needs 'images', 'annotations', 'categories'"),
        ('"images"', "not a JSON object"),
        ('{"images": [{"id": 1, "fi', "premature EOF"),
        ('{"images": [], "annotations": [], "categories": []} x', "trailing garbage"),
        ('{"images": [], "annotations": [{"bbox": [NaN]}]}', r"invalid char .*\[NaN"),
        ('{"images": [{"id": 1e999}]}', "overflow"),
        ('{"images": [{"file_name": "\\udc80"}]}', "codec can't decode"),
        (b'{"images": [{"file_name": "\xff"}]}', "invalid bytes in UTF8 string"),
        ("{}", "no array 'annotations', 'categories', 'images'; it needs"),
        ('{"images": [], "annotations": {}, "categories": []}', "no array 'annotations'; it needs"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "category .*a name"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, text: str | bytes, reason: str) -> None:
    path = put(tmp_path)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputRejected, match=reason) as caught:
        Coco2017(tmp_path).items("train")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"id": 1, "name": "x"}, "its id is another's too"),
        ({"id": "1", "name": "x"}, "its id is another's too"),
        ({"id": 2, "name": "cat"}, "its name is another's too"),
        ({"id": "", "name": "x"}, "give an id and a name"),
        ({"id": 2.5, "name": "x"}, "give an id and a name"),
        ({"id": True, "name": "x"}, "give an id and a name"),
        ({"id": 2, "name": ""}, "give an id and a name"),
        ({"id": 2}, "give an id and a name"),
        (7, r"category \{\}: give"),
    ],
)
def test_wrong_categories(tmp_path: Path, entry: Any, reason: str) -> None:
    put(tmp_path, categories=[*CATEGORIES, entry])
    with pytest.raises(InputRejected, match=reason):
        Coco2017(tmp_path).items("train")


def test_the_plain_place_of_images_comes_first(tmp_path: Path) -> None:
    put(tmp_path, images=[image()])
    for folder in ("train2017", "images/train2017"):
        (tmp_path / folder).mkdir(parents=True)
    (item,) = Coco2017(tmp_path).items("train")
    assert item.image_path == "train2017/a.jpg"


@pytest.mark.parametrize("ask", ["train", "dev", "classes"])
def test_splits_must_have_the_same_categories(tmp_path: Path, ask: str) -> None:
    put(tmp_path)
    put(tmp_path, "dev2017", categories=[*CATEGORIES[:2], {"id": 17, "name": "cow"}])
    dataset = Coco2017(tmp_path)
    with pytest.raises(
        InputRejected,
        match=r"instances_train2017\.json and .*instances_dev2017\.json have different categories: "
        "17 is 'cat' and 'cow'",
    ):
        dataset.classes if ask == "classes" else dataset.items(ask)


def test_files_are_read_once_and_never_by_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def spied(path: Path, *more: Any) -> Any:
        opened.append(path.stem)
        return read_arrays(path, *more)

    monkeypatch.setattr(coco_json, "read_arrays", spied)
    for split in ("train2017", "val2017"):
        put(tmp_path, split, images=[image()], annotations=[note(1)])
    dataset = Coco2017(tmp_path)
    items = dataset.items("train")
    assert opened == ["instances_train2017", "instances_val2017"]
    opened.clear()
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.classes == ("person", "cat", "dog")
    assert copy.annotation(items[0], WIDTH, HEIGHT).labels == (2,)
    assert opened == []
    assert len(pickle.dumps(dataset)) < 2000


def test_outlines_are_passed_over(tmp_path: Path) -> None:
    crowd = {"counts": [1, 2, 3], "size": [HEIGHT, WIDTH]}
    odd: list[Any] = [crowd, {"counts": "abc"}, [], None, [[[[]]]], "x", 5, [{"a": [{}]}]]
    truth = read(tmp_path, *(note(i, segmentation=s, more={"b": [[1]]}) for i, s in enumerate(odd)))
    assert len(truth.box_labels) == len(odd)


def test_memory_does_not_grow_with_the_outlines(tmp_path: Path) -> None:
    number = 600
    outline = [[12.25] * 1500]
    notes = [note(i, i, segmentation=outline) for i in range(number)]
    path = put(tmp_path, images=[image(i, f"{i}.jpg") for i in range(number)], annotations=notes)
    tracemalloc.start()
    try:
        items = Coco2017(tmp_path).items("train")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(items) == number
    assert path.stat().st_size > 6e6
    assert peak < 2.5e6  # most of it is what the parser reads at once


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-9, 9)
    | st.text('ab\\"é', max_size=3)
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text("abc"), inner, max_size=2),
    max_leaves=8,
)
ENTRIES = st.lists(st.dictionaries(st.sampled_from("abc"), NESTED) | NESTED, max_size=4)


@settings(max_examples=60)
@given(ENTRIES)
def test_arrays_are_streamed_as_json_reads_them(entries: list[Any]) -> None:
    with tempfile.NamedTemporaryFile("w") as file:
        json.dump({"x": entries, "wanted": entries, "y": entries}, file)
        file.flush()
        found = list(read_arrays(Path(file.name), {"wanted": frozenset(("a", "b"))}))
    assert found == [("wanted", shortened(entry)) for entry in entries]


def shortened(entry: Any) -> dict[str, Any]:
    """What `read_arrays` keeps, from the whole."""
    kept = entry.items() if isinstance(entry, dict) else ()
    return {key: beginning(value) for key, value in kept if key in ("a", "b")}


def beginning(value: Any) -> Any:
    if isinstance(value, dict):
        return {}
    if isinstance(value, list):
        return [None if isinstance(inner, (dict, list)) else inner for inner in value[:5]]
    return value


EDGES = st.floats(0, 640, width=32)


@given(st.tuples(EDGES, EDGES, EDGES, EDGES).filter(lambda b: b[0] < b[2] and b[1] < b[3]))
def test_written_boxes_are_the_same_in_single_precision(corners: tuple[float, ...]) -> None:
    boxes = np.array([corners], np.float32)
    truth = GroundTruth.from_boxes(boxes, np.array([0], np.int32))
    document = Document(["a"])
    document.add(Record("a", "train", b"", 640, 640, truth))
    (annotation,) = json.loads(document.text())["annotations"]
    line = json.dumps([[640, 640], [[1, 1, annotation["bbox"], 0]]])
    back = read_objects(line, 640, 640, {1: "a"}, BoxRules())
    np.testing.assert_array_equal(back.boxes_xyxy, boxes)


def with_crowd(records: Iterator[Record]) -> Iterator[Record]:
    """A box over the whole of each third image, over a group of fives; each fourth is empty."""
    for index, record in enumerate(records):
        truth = record.truth
        if index % 4 == 3:
            truth = GroundTruth()
        elif index % 3 == 0:
            whole = np.array([[0, 0, record.width, record.height]], np.float32)
            truth = GroundTruth.from_boxes(
                np.concatenate([truth.boxes_xyxy + np.float32([0.3, 0.7, -0.1, -0.9]), whole]),
                np.append(truth.box_labels, 5).astype(np.int32),
                box_crowd=np.append(truth.box_crowd, True),
            )
        yield dataclasses.replace(record, truth=truth)


@pytest.mark.parametrize("kind", [Coco2014, Coco2017])
def test_written_trees_are_ingested_the_same(tmp_path: Path, kind: type[CocoDataset]) -> None:
    options = DigitsOptions(train=12, val=5, test=2, difficult=0)
    kind.write(tmp_path, CLASSES, with_crowd(draw_all(options)))
    dataset = kind(tmp_path)
    assert dataset.splits() == ("train", "val")
    assert dataset.classes == CLASSES
    drawn = {record.image_id: record for record in with_crowd(draw_all(options))}
    assert sum(record.truth.box_crowd.any() for record in drawn.values()) > 3
    for split, number in (("train", 12), ("val", 5)):
        found, rejected = ingest_split(dataset, dataset.items(split), tmp_path / "shards")
        assert (len(found), rejected) == (number, [])
        for record in found:
            same(record, drawn[record.image_id])


def test_what_is_wrong_is_quarantined_and_counted(tmp_path: Path) -> None:
    options = DigitsOptions(train=9, val=0, test=0, difficult=0)
    Coco2017.write(tmp_path, CLASSES, with_crowd(draw_all(options)))
    spoil(tmp_path / "annotations/instances_train2017.json")
    dataset = Coco2017(tmp_path)
    items = dataset.items("train")
    assert len(items) == 11
    found, rejected = ingest_split(dataset, items, tmp_path / "shards")
    assert len(found) == 7
    reasons = [entry.reason for entry in rejected]
    assert [reason.split(";")[0].split(":")[-1].strip() for reason in reasons] == [
        "listed twice in split 'train'",
        "category_id 99 is not in 'categories'",
        "no such file",
        "annotation 1 has image_id 1000, not in 'images'",
    ]


def spoil(path: Path) -> None:
    """One image has a wrong category, one is gone, one is there twice, one is not listed."""
    content = json.loads(path.read_text())
    images, annotations = content["images"], content["annotations"]
    annotations.append({**annotations[0], "image_id": 1000})
    annotations[0]["category_id"] = 99
    images.append(images[5])
    path.write_text(json.dumps(content))
    (path.parent.parent / "train2017" / images[1]["file_name"]).unlink()


def same(found: Record, drawn: Record) -> None:
    assert (found.split, found.image) == (drawn.split, drawn.image)
    assert (found.width, found.height) == (drawn.width, drawn.height)
    np.testing.assert_array_equal(decode(found.image, LIMITS), decode(drawn.image, LIMITS))
    assert (found.truth.labels, found.truth.difficult_labels) == (drawn.truth.labels, ())
    np.testing.assert_array_equal(found.truth.boxes_xyxy, drawn.truth.boxes_xyxy)
    np.testing.assert_array_equal(found.truth.box_labels, drawn.truth.box_labels)
    np.testing.assert_array_equal(found.truth.box_crowd, drawn.truth.box_crowd)


def test_pycocotools_reads_what_is_written(tmp_path: Path, capsys: Any) -> None:
    from pycocotools.coco import COCO

    options = DigitsOptions(train=6, val=0, test=0, difficult=0)
    Coco2017.write(tmp_path, CLASSES, with_crowd(draw_all(options)))
    official = COCO(str(tmp_path / "annotations/instances_train2017.json"))
    dataset = Coco2017(tmp_path)
    for number, item in enumerate(dataset.items("train"), start=1):
        (entry,) = official.loadImgs([number])
        truth = dataset.annotation(item, entry["width"], entry["height"])
        notes = official.loadAnns(official.getAnnIds([number]))
        boxes = np.array([a["bbox"] for a in notes]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_array_equal(boxes.astype(np.float32), truth.boxes_xyxy)
        names = [official.cats[a["category_id"]]["name"] for a in notes]
        assert names == [CLASSES[label] for label in truth.box_labels]


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (GroundTruth(labels=(1,)), "no labels without boxes"),
        (
            GroundTruth.from_boxes(
                np.ones((1, 4), np.float32), np.zeros(1, np.int32), np.ones(1, np.bool_)
            ),
            "no difficult objects",
        ),
    ],
)
def test_what_coco_has_no_place_for(tmp_path: Path, truth: GroundTruth, reason: str) -> None:
    with pytest.raises(ValueError, match=f"x: COCO has {reason}"):
        Coco2017.write(tmp_path, CLASSES, [Record("x", "train", b"", 8, 8, truth)])


def test_written_ids_are_file_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        Coco2017.write(tmp_path, CLASSES, [Record("a/b", "train", b"", 8, 8, GroundTruth())])
