"""The VOC reader: one-based boxes, every way in which an annotation can be wrong, round trips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workloads.datasets.base import Item
from workloads.datasets.registry import DATASETS, open_dataset
from workloads.datasets.remarks import reading
from workloads.datasets.voc import Voc2007
from workloads.errors import ConfigError, InputRejected, NotFound, TooLarge
from workloads.records import GroundTruth, Record

WIDTH, HEIGHT = 100, 80
SIZE = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"


def obj(name: str = "dog", box: tuple = (1, 1, 10, 20), extra: str = "") -> str:
    corners = "".join(
        f"<{tag}>{value}</{tag}>"
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "VOCdevkit" / "VOC2007"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    lists = root / "ImageSets/Main"
    (lists / "train.txt").write_text("000005\n\n000007 \n")
    (lists / "val.txt").write_text("000009\n")
    (lists / "train_train.txt").write_text("000005 -1\n")
    (lists / "dog_val.txt").write_text("000009  1\n")
    (root / "JPEGImages/000005.jpg").write_bytes(b"12345")
    return root


def read(tree: Path, body: str) -> GroundTruth:
    dataset = Voc2007(tree)
    item = dataset.items("train")[0]
    (tree / item.annotation).write_text(f"<annotation>{body}</annotation>")
    return dataset.annotation(item, WIDTH, HEIGHT)


@pytest.mark.parametrize("above", [0, 1, 2])
def test_root_may_be_the_tree_or_a_folder_above(tree: Path, above: int) -> None:
    root = [tree, tree.parent, tree.parent.parent][above]
    dataset = Voc2007(root)
    assert dataset.root / dataset.items("val")[0].annotation == tree / "Annotations/000009.xml"


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(
        NotFound, match="no voc2007 there; give the folder that holds ImageSets/Main"
    ):
        Voc2007(tmp_path)


def test_splits_leave_out_the_lists_of_classes(tree: Path) -> None:
    assert Voc2007(tree).splits() == ("train", "val")


def test_items_are_listed_in_order_existing_or_not(tree: Path) -> None:
    first, second = Voc2007(tree).items("train")
    assert first == Item(
        image_id="000005",
        split="train",
        image_path="JPEGImages/000005.jpg",
        annotation="Annotations/000005.xml",
        num_bytes=5,
    )
    assert (second.image_id, second.num_bytes) == ("000007", 0)


def test_unknown_split(tree: Path) -> None:
    with pytest.raises(NotFound, match=r"unknown split 'tran'; did you mean 'train'\?.*val"):
        Voc2007(tree).items("tran")


def test_boxes_become_zero_based_and_half_open(tree: Path) -> None:
    truth = read(tree, SIZE + obj(box=(1, 1, WIDTH, HEIGHT)) + obj("cat", (5, 6, 5, 6)))
    np.testing.assert_array_equal(truth.boxes_xyxy, [[0, 0, WIDTH, HEIGHT], [4, 5, 5, 6]])
    assert truth.boxes_xyxy.dtype == np.float32
    assert [Voc2007.class_names[i] for i in truth.box_labels] == ["dog", "cat"]


def test_fractions_and_parts_of_objects(tree: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>0</xmin></bndbox></part>"
    truth = read(tree, obj(box=(45.7, 1, 60.5, 20), extra=part))
    np.testing.assert_allclose(truth.boxes_xyxy, [[44.7, 0, 60.5, 20]], rtol=1e-6)


def test_difficult(tree: Path) -> None:
    hard = "<difficult>1</difficult>"
    truth = read(tree, obj("dog") + obj("cat", extra=hard) + obj("dog", extra=hard))
    assert truth.box_difficult.tolist() == [False, True, True]
    assert truth.labels == (Voc2007.class_names.index("dog"),)
    assert truth.difficult_labels == (Voc2007.class_names.index("cat"),)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (obj("hund"), "unknown class 'hund'.*allowed: aeroplane"),
        (obj("dgo"), "did you mean 'dog'"),
        (obj(box=(10, 1, 9, 20)), "xmin=10 .*inverted or empty"),
        (obj(box=(1, 20, 10, 2)), "inverted or empty"),
        (obj(box=(0, 1, 10, 20)), "xmin=0 .*outside the upright image of 100x80"),
        (obj(box=(1, 1, 100, 81)), "ymax=81 is outside .*clip_boxes"),
        (obj(box=(1, 1, 100.01, 80)), "outside"),
        (obj(box=("", 1, 10, 20)), "<xmin> in <bndbox> is '', not a number"),
        (obj(box=("nan", 1, 10, 20)), "'nan', not a number"),
        (obj(box=("1e999", 1, 10, 20)), "not a number"),
        ("<object><name>dog</name></object>", "no <bndbox>"),
        (obj(extra="<difficult>yes</difficult>"), r"<difficult> is 'yes' \(allowed: 0, 1\)"),
        ("<size><width>80</width><height>100</height></size>" + obj(), "80x100.*image is 100x80"),
        ("<size><width>100</width></size>" + obj(), "<size> says 100xNone; correct the size"),
        ("<object>", "not well-formed XML"),
        ("\x00", "not well-formed XML"),
    ],
)
def test_wrong_annotations(tree: Path, body: str, reason: str) -> None:
    with reading(strict=True), pytest.raises(InputRejected, match=reason) as caught:
        read(tree, body)
    assert str(caught.value).startswith("Annotations/000005.xml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"\xff\xfe\x00",
        b"<?xml version='1.0' encoding='no-such'?><annotation/>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>&b;</annotation>",
        b"<!DOCTYPE annotation><annotation/>",
        b"<a>" * 50_000,
    ],
)
def test_hostile_xml(tree: Path, xml: bytes) -> None:
    dataset = Voc2007(tree)
    (tree / "Annotations/000005.xml").write_bytes(xml)
    with pytest.raises(InputRejected, match="not well-formed XML"):
        dataset.annotation(dataset.items("train")[0], WIDTH, HEIGHT)


def test_deeply_nested_xml(tree: Path) -> None:
    deep = 50_000
    assert read(tree, "<a>" * deep + "</a>" * deep).labels == ()


def test_large_xml_is_not_parsed(tree: Path) -> None:
    with pytest.raises(TooLarge, match="over 1048576 bytes"):
        read(tree, obj() + " " * 2**20)


def test_missing_annotation(tree: Path) -> None:
    dataset = Voc2007(tree)
    with pytest.raises(InputRejected, match=r"Annotations/000005.xml: no such file"):
        dataset.annotation(dataset.items("train")[0], WIDTH, HEIGHT)


def test_written_trees_are_read_back(tmp_path: Path) -> None:
    truth = GroundTruth.from_boxes(
        np.array([[0, 0, 100, 80], [1.25, 2, 3.5, 4]], np.float32),
        np.array([3, 19], np.int32),
        np.array([False, True]),
    )
    records = [
        Record(name, split, name.encode(), WIDTH, HEIGHT, truth)
        for name, split in (("b & <c>", "train"), ("a 1", "train"), ("ä", "test"))
    ]
    Voc2007.write(tmp_path, Voc2007.class_names, iter(records))
    dataset = Voc2007(tmp_path)
    assert dataset.splits() == ("test", "train")
    items = [item for split in ("train", "test") for item in dataset.items(split)]
    assert [item.image_id for item in items] == [record.image_id for record in records]
    for item, record in zip(items, records, strict=True):
        assert (tmp_path / item.image_path).read_bytes() == record.image
        assert item.num_bytes == len(record.image)
        back = dataset.annotation(item, WIDTH, HEIGHT)
        np.testing.assert_array_equal(back.boxes_xyxy, truth.boxes_xyxy)
        np.testing.assert_array_equal(back.box_labels, truth.box_labels)
        assert (back.labels, back.difficult_labels) == (truth.labels, truth.difficult_labels)


@pytest.mark.parametrize("name", ["../up", "a/b", "/a"])
def test_written_ids_are_file_names(tmp_path: Path, name: str) -> None:
    record = Record(name, "train", b"", WIDTH, HEIGHT, GroundTruth())
    with pytest.raises(ValueError, match="not a plain file name"):
        Voc2007.write(tmp_path, Voc2007.class_names, [record])


def test_registry(tree: Path) -> None:
    for name, kind in DATASETS.items():
        assert kind.name == name
        assert kind.task in ("multilabel", "singlelabel")
    assert isinstance(open_dataset("voc2007", tree), Voc2007)
    with pytest.raises(ConfigError, match="unknown data set 'voc'"):
        open_dataset("voc", tree)
