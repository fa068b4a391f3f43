"""Annotations that change under finished shards."""

from __future__ import annotations

from pathlib import Path

from peoples_files import (
    cat,
    coco,
    picture,
    put,
    voc,
    xml,
)

from workloads.datasets.registry import open_dataset


def test_changed_truth_changes_the_item(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat(extra="<difficult>1</difficult>")))
    before = open_dataset("voc2007", root).items("train")
    assert open_dataset("voc2007", root).items("train") == before
    path = root / "Annotations/1.xml"
    put(path, path.read_text().replace("<difficult>1", "<difficult>0"))  # as many bytes
    assert open_dataset("voc2007", root).items("train") != before


def test_changed_masks_change_the_item(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    put(kit / "val/image_ids.txt", "a.jpg\n")
    put(kit / "val/class_labels.txt", "a.jpg,0\n")
    put(kit / "val/localization.txt", "a.jpg,m.png,\n")
    put(kit / "images/a.jpg", picture())
    put(kit / "images/m.png", "one")
    before = open_dataset("wsolevaluation", kit).items("val")
    put(kit / "images/m.png", "two")
    assert open_dataset("wsolevaluation", kit).items("val") != before


def test_other_ids_of_the_same_names_are_other_classes(tmp_path: Path) -> None:
    coco(tmp_path / "coco")
    before = open_dataset("coco2017", tmp_path / "coco").class_keys
    coco(tmp_path / "coco", categories=[{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}])
    found = open_dataset("coco2017", tmp_path / "coco")
    assert (found.classes, before, found.class_keys) == (("cat", "dog"), ("1", "2"), ("1", "3"))
