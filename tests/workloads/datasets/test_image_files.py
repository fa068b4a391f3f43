"""Files that are there under other names, endings and folders than the layout's."""

from __future__ import annotations

from pathlib import Path

import pytest
from peoples_files import (
    HALF_OPEN,
    cat,
    coco,
    ingest,
    picture,
    pictures,
    put,
    voc,
    xml,
)

from workloads.datasets.image_files import ImageFiles, image_ids
from workloads.datasets.registry import open_dataset
from workloads.errors import InputRejected


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jpeg"])
def test_images_of_voc_are_found_by_their_id(tmp_path: Path, suffix: str) -> None:
    found = ingest("voc2007", voc(tmp_path / "voc", xml(cat()), suffix=suffix), strict=True)
    assert found.boxes() == [[HALF_OPEN]]


@pytest.mark.parametrize(
    "line", ["1.jpg", "1  1", "1 -1", "JPEGImages/1.jpg", "C:\\data\\1.jpg", "/home/a b/1.jpg"]
)
def test_lines_of_voc_lists(tmp_path: Path, line: str) -> None:
    root = voc(tmp_path / "voc", xml(cat()))
    put(root / "ImageSets/Main/train.txt", f"{line}\n")
    found = ingest("voc2007", root)
    assert ([r.image_id for r in found.records], found.lenient()) == (["1"], 1)


@pytest.mark.parametrize("lines", ["a.jpg, 0", " a.jpg ,0 "])
def test_blanks_in_lines_of_the_toolkit(tmp_path: Path, lines: str) -> None:
    put(tmp_path / "kit/train/image_ids.txt", "a.jpg\n")
    put(tmp_path / "kit/train/class_labels.txt", f"{lines}\n")
    put(tmp_path / "kit/train/image_sizes.txt", "a.jpg, 64, 48\n")
    put(tmp_path / "kit/train/localization.txt", "a.jpg, 5, 5, 25, 25\n")
    put(tmp_path / "kit/images/a.jpg", picture())
    assert ingest("wsolevaluation", tmp_path / "kit").boxes() == [[HALF_OPEN]]


def test_own_classes_of_a_voc_tree(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat("weed")), xml(cat("麦")))
    found = ingest("voc2007", root)
    assert "--set ingest.options.class_names=files" in found.quarantined[0].reason
    assert ingest("voc2007", root, {"class_names": "files"}).classes == ("weed", "麦")
    path = put(tmp_path / "names.txt", "麦\nweed\ntree\n")
    found = ingest("voc2007", root, {"class_names": str(path)})
    assert [record.truth.labels for record in found.records] == [(1,), (0,)]


@pytest.mark.parametrize(
    ("xmls", "images", "split"),
    [
        ("Annotations", "JPEGImages", "train"),
        ("Annotations", "images", "train"),
        ("", "", "train"),
        ("valid", "valid", "valid"),
    ],
)
def test_trees_of_xml_without_lists(tmp_path: Path, xmls: str, images: str, split: str) -> None:
    for name in ("a", "b 1"):
        put(tmp_path / "tree" / xmls / f"{name}.xml", xml(cat("weed")))
        put(tmp_path / "tree" / images / f"{name}.png", picture())
    options = {"class_names": "files"}
    found = ingest("voc2007", tmp_path / "tree", options, split=split, strict=True)
    assert [record.image_id for record in found.records] == ["a", "b 1"]
    assert (found.classes, found.boxes()) == (("weed",), [[HALF_OPEN]] * 2)


def test_class_names_are_matched_as_people_see_them(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat("Cat ")), xml(cat("cafe\u0301")))
    path = put(tmp_path / "names.txt", "cat\ncaf\u00e9\n")
    found = ingest("voc2007", root, {"class_names": str(path)})
    assert [record.truth.labels for record in found.records] == [(0,), (1,)]
    assert len(ingest("voc2007", root, {"class_names": str(path)}, strict=True).quarantined) == 2


def test_lists_of_voc_that_begin_with_a_class(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat()))
    for name in ("train_aug", "train_val", "cat_train", "cat_fold1"):
        put(root / f"ImageSets/Main/{name}.txt", "1\n")
    assert open_dataset("voc2012", root).splits() == ("cat_fold1", "train", "train_aug")


@pytest.mark.parametrize(
    "name",
    [
        "images\\{}.jpg",
        "train2017/{}.jpg",
        "C:\\photos\\{}.jpg",
        "/home/me/train2017/{}.jpg",
        "../x/{}.jpg",
        "http://localhost:8080/data/upload/{}.jpg?x=1",
        "/data/local-files/?d=images/{}.jpg",
    ],
)
def test_paths_of_other_machines(tmp_path: Path, name: str) -> None:
    content = coco(tmp_path / "coco")
    for entry in content["images"]:
        entry["file_name"] = name.format(entry["id"])
    coco(tmp_path / "coco", images=content["images"])
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert [record.image_id for record in found.records] == ["1", "2", "3", "4"]
    assert found.boxes() == [[HALF_OPEN]] * 4
    if name != "train2017/{}.jpg":  # which is there, below the root
        with pytest.raises(InputRejected, match="no such file; correct the list"):
            ingest("coco2017", tmp_path / "coco", strict=True)


def test_no_image_stands_for_two(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a/1.jpg"}, {"id": 2, "file_name": "b/1.jpg"}]
    coco(tmp_path / "coco", images=images, annotations=[])
    pictures(tmp_path / "coco/train2017", "1.jpg")
    found = ingest("coco2017", tmp_path / "coco")
    assert (found.records, len(found.quarantined)) == ([], 2)
    assert "one that is like it is another's" in found.quarantined[0].reason


def test_images_that_differ_in_their_ending(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": name} for n, name in enumerate(("a.jpg", "a.png", "b.jpg"))]
    coco(tmp_path / "coco", images=images, annotations=[])
    pictures(tmp_path / "coco/train2017", "a.jpg", "a.png", "b.jpg")
    found = ingest("coco2017", tmp_path / "coco", strict=True)
    assert [record.image_id for record in found.records] == ["a.jpg", "a.png", "b"]
    assert image_ids(["a.jpg", "a.jpg", "x.y/a.jpg"]) == ["a", "a", "x.y/a"]


def test_coco_url_instead_of_a_file_name(tmp_path: Path) -> None:
    url = "http://images.cocodataset.org/val2017/000000000001.jpg"
    coco(tmp_path / "coco", images=[{"id": 1, "coco_url": url}], annotations=[])
    pictures(tmp_path / "coco/train2017", "7.jpg")
    pictures(tmp_path / "coco/val2017", "000000000001.jpg")
    found = ingest("coco2017", tmp_path / "coco")
    assert [record.image_id for record in found.records] == ["val2017/000000000001"]


def test_a_split_whose_images_are_in_the_folder_of_another(tmp_path: Path) -> None:
    coco(tmp_path / "coco", file="annotations/instances_minival2014.json")
    pictures(tmp_path / "coco/train2014", "9.jpg")
    pictures(tmp_path / "coco/val2014")
    found = ingest("coco2014", tmp_path / "coco", split="minival", strict=True)
    assert found.boxes() == [[HALF_OPEN]] * 4


@pytest.mark.parametrize(
    ("file", "images", "split"),
    [
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/_annotations.coco.json", "valid", "valid"),
        ("result.json", "images", "train"),
        ("annotations/instances_default.json", "images/default", "train"),
    ],
)
@pytest.mark.parametrize("said", [False, True])
def test_exports_of_labelling_tools(
    tmp_path: Path, file: str, images: str, split: str, said: bool
) -> None:
    coco(tmp_path / "export", file=file)
    pictures(tmp_path / "export" / images)
    options = {"annotations": file.replace(f"{split}/", "*/"), "images": images} if said else {}
    found = ingest("coco2017", tmp_path / "export", options, split=split, strict=True)
    assert found.boxes() == [[HALF_OPEN]] * 4


def test_validation_images_in_folders_of_synsets(tmp_path: Path) -> None:
    tree, synset = tmp_path / "ILSVRC", "n01440764"
    put(tree / "ImageSets/CLS-LOC/val.txt", "ILSVRC2012_val_00000001 1\n")
    put(tree / f"Data/CLS-LOC/val/{synset}/ILSVRC2012_val_00000001.JPEG", picture())
    put(tree / "LOC_synset_mapping.txt", f"{synset} tench")
    put(tree / "LOC_val_solution.csv", f"ILSVRC2012_val_00000001,{synset} 5 5 25 25")
    assert ingest("ilsvrc", tree, split="val", strict=True).boxes() == [[HALF_OPEN]]


def test_a_size_beside_the_solution_is_compared(tmp_path: Path) -> None:
    tree, synset = tmp_path / "ILSVRC", "n01440764"
    for name in ("a", "b"):
        put(tree / f"Data/CLS-LOC/val/{name}.JPEG", picture())
    put(tree / "LOC_synset_mapping.txt", f"{synset} tench")
    put(tree / "LOC_val_solution.csv", f"a,{synset} 3 3 12 12\nb,{synset} 5 5 25 25")
    put(tree / "Annotations/CLS-LOC/val/a.xml", xml(size=(32, 24)))
    found = ingest("ilsvrc", tree, split="val")
    assert "val/a.xml: <size> says 32x24" in found.quarantined[0].reason
    found = ingest("ilsvrc", tree, {"scale_boxes": True}, split="val")
    assert found.boxes() == [[[6, 6, 24, 24]], [HALF_OPEN]]


def test_files_of_the_toolkit_with_other_names(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    put(kit / "val/image_ids.txt", "val2/0/0.jpeg\nval2/0/1.jpeg\n")
    put(kit / "val/class_labels.txt", "val2/0/0.jpeg,0\nval2/0/1.jpeg,0\n")
    for name in ("5f3a", "77cd"):
        put(kit / f"images/val2/0/{name}.jpeg", picture())
    found = ingest("wsolevaluation", kit, split="val")
    assert "2 images of other names" in found.quarantined[0].reason
    names = put(
        tmp_path / "map", "val2/0/0.jpeg,val2/0/77cd.jpeg\nval2/0/1.jpeg,val2/0/5f3a.jpeg\n"
    )
    found = ingest("wsolevaluation", kit, {"renamed": str(names)}, split="val")
    assert [record.image_id for record in found.records] == ["val2/0/0.jpeg", "val2/0/1.jpeg"]


def test_a_name_that_fits_several_files_finds_none(tmp_path: Path) -> None:
    for name in ("a.PNG", "a.bmp", "B.jpg", "x/c.jpg"):
        put(tmp_path / "f" / name, "1")
    files = ImageFiles(tmp_path, ("f",))
    assert files.find("a.jpg") is None
    assert [files.find(name).path for name in ("b.jpg", "x\\c.jpg")] == ["f/B.jpg", "f/x/c.jpg"]
    assert files.find("..") is None
