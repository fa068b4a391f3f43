"""Odd values, bad boxes and ids as tools write them: read as meant, counted, refused if strict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peoples_files import (
    BOX,
    HALF_OPEN,
    HEIGHT,
    WIDTH,
    cat,
    coco,
    ingest,
    picture,
    pictures,
    put,
    voc,
    xml,
)

from workloads.datasets.registry import open_dataset
from workloads.errors import InputRejected


@pytest.mark.parametrize("tag", ["truncated", "difficult"])
@pytest.mark.parametrize(("value", "flag"), [("Unspecified", False), ("True", True), ("no", False)])
def test_flags_in_words(tmp_path: Path, tag: str, value: str, flag: bool) -> None:
    root = voc(tmp_path / "voc", xml(cat(extra=f"<{tag}>{value}</{tag}>")), xml(cat()))
    found = ingest("voc2007", root)
    assert found.boxes() == [[HALF_OPEN]] * 2
    assert getattr(found.records[0].truth, f"box_{tag}").tolist() == [flag]
    assert found.lenient() == 1
    strict = ingest("voc2007", root, strict=True)
    assert [entry.image_id for entry in strict.quarantined] == ["1"]
    assert f"<{tag}> is '{value}'" in strict.quarantined[0].reason


@pytest.mark.parametrize("size", [(0, 0), ("", ""), (WIDTH, 0), ("", HEIGHT), ("?", HEIGHT)])
def test_stated_sizes_that_say_nothing(tmp_path: Path, size: tuple) -> None:
    voc(tmp_path / "voc", xml(cat(), size=size))
    images = [{"id": 1, "file_name": "1.jpg", "width": size[0] or None, "height": size[1]}]
    content = coco(tmp_path / "coco", images=images)
    coco(tmp_path / "coco", images=images, annotations=content["annotations"][:1])
    pictures(tmp_path / "coco/train2017", "1.jpg")
    for name in ("voc2007", "coco2017"):
        found = ingest(name, tmp_path / name[:-4])
        assert (found.boxes(), found.lenient()) == ([[HALF_OPEN]], 1)
        assert len(ingest(name, tmp_path / name[:-4], strict=True).quarantined) == 1


def test_sides_as_text_are_compared(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "1.jpg", "width": "64", "height": "48"}]
    images.append({"id": 2, "file_name": "2.jpg", "width": "65", "height": "48"})
    content = coco(tmp_path / "coco", images=images, annotations=[])
    assert content["images"] == images
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert [record.image_id for record in found.records] == ["1"]
    assert "says 65x48, the upright image is 64x48" in found.quarantined[0].reason


@pytest.mark.parametrize("bad", [[7, 9, 10, 0], [0, 0, 0, 0], [7, 9, -1, 3], ["x", 1, 2, 3], None])
def test_a_bad_box_costs_the_box(tmp_path: Path, bad: Any) -> None:
    more = {"image_id": 1, "iscrowd": 0}
    notes = [
        {"id": 1, "category_id": 1, "bbox": BOX, **more},
        {"id": 2, "category_id": 2, "bbox": bad, **more},
    ]
    coco(tmp_path / "coco", annotations=notes)
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert not found.quarantined
    assert found.boxes() == [[HALF_OPEN], [], [], []]
    assert found.records[0].truth.labels == (0, 1)  # the dog is there, wherever it is
    assert found.lenient() == 1
    assert len(ingest("coco2017", tmp_path / "coco", {"bad_boxes": "refuse"}).quarantined) == 1
    assert len(ingest("coco2017", tmp_path / "coco", strict=True).quarantined) == 1
    kept = ingest("coco2017", tmp_path / "coco", {"bad_boxes": "drop"}, strict=True)
    assert (kept.boxes()[0], kept.quarantined) == ([HALF_OPEN], [])


def test_a_bad_box_costs_the_box_in_every_layout(tmp_path: Path) -> None:
    voc(tmp_path / "voc", xml(cat(box=(6, 6, 25, 6 - 1)), cat()))
    tree, synset = tmp_path / "ilsvrc", "n01440764"
    for split in ("train", "val"):
        name = f"{synset}/a" if split == "train" else "a"
        put(
            tree / f"ImageSets/CLS-LOC/{'train_cls' if split == 'train' else 'val'}.txt",
            f"{name} 1",
        )
        put(tree / f"Data/CLS-LOC/{split}/{name}.JPEG", picture())
    boxes = (cat(synset, box=(5, 5, 5, 9)), cat(synset, box=(5, 5, 25, 25)))
    put(tree / f"Annotations/CLS-LOC/train/{synset}/a.xml", xml(*boxes))
    put(tree / "LOC_synset_mapping.txt", f"{synset} tench")
    put(tree / "LOC_val_solution.csv", f"a,{synset} 5 5 5 9 {synset} 5 5 25 25")
    kit = tmp_path / "kit"
    put(kit / "train/image_ids.txt", "a.jpg\n")
    put(kit / "train/class_labels.txt", "a.jpg,0\n")
    put(kit / "train/localization.txt", "a.jpg,5,5,5,9\na.jpg,5,5,25,25\n")
    put(kit / "images/a.jpg", picture())
    cases = [("voc2007", "voc", "train"), ("wsolevaluation", "kit", "train")]
    for name, folder, split in [*cases, ("ilsvrc", "ilsvrc", "train"), ("ilsvrc", "ilsvrc", "val")]:
        found = ingest(name, tmp_path / folder, split=split)
        assert (found.boxes(), found.lenient()) == ([[HALF_OPEN]], 1), name
        assert len(ingest(name, tmp_path / folder, split=split, strict=True).quarantined) == 1


def test_an_image_of_which_every_box_is_outside_is_left_out(tmp_path: Path) -> None:
    root = voc(
        tmp_path / "voc", xml(cat(box=(60, 6, 90, 25))), xml(cat(box=(60, 6, 90, 25)), cat())
    )
    found = ingest("voc2007", root)
    assert found.boxes() == [[HALF_OPEN]]
    assert "outside the upright image of 64x48" in found.quarantined[0].reason
    assert ingest("voc2007", root, {"clip_boxes": True}).boxes()[0] == [[59, 5, 64, 25]]


def test_an_xml_without_objects_is_a_negative(tmp_path: Path) -> None:
    found = ingest("voc2007", voc(tmp_path / "voc", xml(), xml(cat())), strict=True)
    assert [record.truth.labels for record in found.records] == [(), (7,)]


def test_numbers_as_text_null_flags_and_outlines(tmp_path: Path) -> None:
    outline = [[5, 5, 25, 6], [6, 25, 7, 20, 5, 5]]
    given = [
        {"bbox": ["5", "5", "20.0", 20], "iscrowd": None},
        {"segmentation": outline},
        {"bbox": None, "segmentation": outline, "iscrowd": False},
        {"bbox": [], "segmentation": {"counts": [1]}},
    ]
    notes = [{"id": n, "image_id": n, "category_id": 1, **g} for n, g in enumerate(given, 1)]
    coco(tmp_path / "coco", annotations=notes)
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert found.boxes() == [[HALF_OPEN]] * 3
    assert not any(record.truth.box_crowd.any() for record in found.records)
    assert "bbox is []; give four numbers" in found.quarantined[0].reason
    assert len(ingest("coco2017", tmp_path / "coco", strict=True).quarantined) == 4


@pytest.mark.parametrize(
    "points",
    [
        "<x1>6</x1><y1>6</y1><x2>25</x2><y2>25</y2>",
        "<pt><x>6</x><y>25</y></pt><pt><x>25</x><y>6</y></pt>",
    ],
)
def test_a_polygon_in_xml(tmp_path: Path, points: str) -> None:
    body = f"<object><name>cat</name><polygon>{points}</polygon></object>"
    assert ingest("voc2007", voc(tmp_path / "voc", xml(body))).boxes() == [[HALF_OPEN]]


@pytest.mark.parametrize("token", ["NaN", "-Infinity"])
def test_words_that_json_has_not(tmp_path: Path, token: str) -> None:
    coco(tmp_path / "coco")
    path = tmp_path / "coco/annotations/instances_train2017.json"
    text = path.read_text().replace('"iscrowd": 0', f'"iscrowd": 0, "area": {token}')
    path.write_text(text.replace('"cat"', f'"a {token}, \\" [{token}] cat"'))
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert found.boxes() == [[HALF_OPEN]] * 4
    assert found.classes[0] == f'a {token}, " [{token}] cat'
    with pytest.raises(InputRejected, match="not JSON before byte"):
        ingest("coco2017", tmp_path / "coco", strict=True)


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        ("<?xml version='1.0' encoding='GB2312'?><annotation>", "gbk"),
        ("<?xml version='1.0' encoding='gb2312'?><annotation>", "utf-8"),
        ("<annotation xmlns='http://tempuri.org/a'>", "utf-8"),
    ],
)
def test_encodings_and_namespaces(tmp_path: Path, head: str, codec: str) -> None:
    body = xml(cat("小麦"), head=head).encode(codec)
    found = ingest("voc2007", voc(tmp_path / "voc", body), {"class_names": "files"})
    assert (found.classes, found.boxes()) == (("小麦",), [[HALF_OPEN]])


def test_boxes_of_another_scale(tmp_path: Path) -> None:
    half = xml(cat(box=(3, 3, 12, 12)), size=(32, 24))  # (2, 2, 12, 12), half-open
    root = voc(tmp_path / "voc", half, xml(cat(), size=(32, 26)), xml(cat()))
    found = ingest("voc2007", root)
    assert ["scale_boxes" in entry.reason for entry in found.quarantined] == [True, False]
    assert "option scale_boxes" in found.quarantined[0].reason
    found = ingest("voc2007", root, {"scale_boxes": True})
    assert found.boxes()[0] == [[4, 4, 24, 24]]


@pytest.mark.parametrize("image_id", [str, lambda n: f" {n} ", float, lambda n: f"{n:012d}"])
def test_ids_are_matched_by_value(tmp_path: Path, image_id: Any) -> None:
    content = coco(tmp_path / "coco")
    for entry in content["images"]:
        entry["id"] = image_id(entry["id"])
    coco(tmp_path / "coco", images=content["images"])
    pictures(tmp_path / "coco/train2017")
    assert ingest("coco2017", tmp_path / "coco").boxes() == [[HALF_OPEN]] * 4
    if image_id is not float:
        with pytest.raises(InputRejected, match="numbers in one place and text in another"):
            ingest("coco2017", tmp_path / "coco", strict=True)


def test_categories_of_another_type(tmp_path: Path) -> None:
    coco(tmp_path / "coco", categories=[{"id": "1", "name": "cat"}, {"id": "b", "name": "dog"}])
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert (found.classes, found.boxes()) == (("cat", "dog"), [[HALF_OPEN]] * 4)


def test_annotations_of_other_images_make_no_negatives(tmp_path: Path) -> None:
    content = coco(tmp_path / "coco")
    for note in content["annotations"]:
        note["image_id"] = f"image-{note['image_id']}"
    coco(tmp_path / "coco", annotations=content["annotations"])
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert (len(found.records), len(found.quarantined)) == (0, 8)
    assert "nothing says what is in the images" in found.quarantined[0].reason


@pytest.mark.parametrize("name", ["fish", "fish-and-more"])
def test_the_root_category_of_an_export(tmp_path: Path, name: str) -> None:
    above = {"id": 0, "name": name, "supercategory": "none"}
    kinds = [above, {"id": 1, "name": "fish", "supercategory": name}]
    for split in ("train", "val"):
        coco(tmp_path / "coco", file=f"annotations/instances_{split}2017.json", categories=kinds)
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert (found.classes, found.boxes()) == (("fish",), [[HALF_OPEN]] * 4)
    assert any("stand above all others" in text for text in found.remarks)


def test_a_root_category_that_objects_are_of_is_a_class(tmp_path: Path) -> None:
    kinds = [{"id": 1, "name": "animal", "supercategory": "none"}]
    kinds.append({"id": 2, "name": "cat", "supercategory": "animal"})
    coco(tmp_path / "coco", categories=kinds)
    coco(
        tmp_path / "coco",
        file="annotations/instances_val2017.json",
        categories=kinds,
        annotations=[],
    )
    assert open_dataset("coco2017", tmp_path / "coco").classes == ("animal", "cat")
