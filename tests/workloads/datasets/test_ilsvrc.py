"""The ILSVRC reader: both sources of truth for val, the blacklist, everything that can be wrong."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingesting import ingest_all

from workloads.datasets.base import Dataset, Item, file_digest
from workloads.datasets.boxes import BoxRules
from workloads.datasets.digit_options import SingleDigitsOptions
from workloads.datasets.digits import CLASSES, draw_all
from workloads.datasets.ilsvrc import Ilsvrc
from workloads.datasets.ilsvrc_tree import find_blacklist, solved
from workloads.datasets.pascal_xml import as_text
from workloads.datasets.registry import open_dataset
from workloads.datasets.remarks import reading
from workloads.errors import ConfigError, InputRejected, NotFound
from workloads.images.decode import ImageLimits, decode
from workloads.records import GroundTruth, Record
from workloads.shards.manifest import read_shard_manifest

WIDTH, HEIGHT = 100, 80
TENCH, BIRD, MACHINE = "n01440764", "n02012849", "n03126707"
SYNSETS = (TENCH, BIRD, MACHINE)
MAPPING = f"{TENCH} tench, Tinca tinca\n{MACHINE} crane\n{BIRD} crane\n"
TRAIN_LIST = f"{TENCH}/{TENCH}_10026 1\n{BIRD}/{BIRD}_3 2\n\n{TENCH}/{TENCH}_2 3\n"
VAL_LIST = "".join(f"ILSVRC2012_val_{number:08d} {number}\n" for number in (1, 2, 3))
CSV = f"""ImageId,PredictionString
ILSVRC2012_val_00000003,{BIRD} 1 2 30 40 {BIRD} 0 0 100 80 \r
ILSVRC2012_val_00000001,{TENCH} 85 1 99 72 \r
"""
BLACKLIST = "ILSVRC2015_clsloc_validation_blacklist.txt"
PARTS = ("Data/CLS-LOC", "Annotations/CLS-LOC", "ImageSets/CLS-LOC")


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """As Kaggle packs it: the tables lie beside the folder."""
    root = tmp_path / "kaggle" / "ILSVRC"
    put(root / PARTS[2] / "train_cls.txt", TRAIN_LIST)
    put(root / PARTS[2] / "train_loc.txt", "rubbish\n")
    put(root / PARTS[2] / "val.txt", VAL_LIST)
    put(root / PARTS[2] / "test.txt", "ILSVRC2012_test_00000001 1\n")
    put(root / PARTS[0] / "train" / TENCH / f"{TENCH}_10026.JPEG", "12345")
    put(root / PARTS[0] / "val/ILSVRC2012_val_00000001.JPEG", "123")
    put(root.parent / "LOC_synset_mapping.txt", MAPPING)
    put(root.parent / "LOC_val_solution.csv", CSV)
    return root


def xml(*objects: tuple[str, tuple[float, ...]], extra: str = "") -> str:
    tags = ("xmin", "ymin", "xmax", "ymax")
    body = "".join(
        f"<object><name>{name}</name>{extra}<bndbox>"
        + "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, box, strict=True))
        + "</bndbox></object>"
        for name, box in objects
    )
    return f"<annotation>{body}</annotation>"


def train_truth(tree: Path, text: str | None) -> GroundTruth:
    if text is not None:
        put(tree / PARTS[1] / "train" / TENCH / f"{TENCH}_10026.xml", text)
    dataset = Ilsvrc(tree)
    return dataset.annotation(dataset.items("train")[0], WIDTH, HEIGHT)


def val_truth(tree: Path, row: str, **options: object) -> GroundTruth:
    put(tree.parent / "LOC_val_solution.csv", f"ILSVRC2012_val_00000001,{row}\n")
    dataset = open_dataset("ilsvrc", tree, options)
    return dataset.annotation(dataset.items("val")[0], WIDTH, HEIGHT)


@pytest.mark.parametrize("tables_inside", [True, False])
@pytest.mark.parametrize("above", [True, False])
def test_root_may_be_the_tree_or_the_folder_above(
    tree: Path, above: bool, tables_inside: bool
) -> None:
    if tables_inside:
        for name in ("LOC_synset_mapping.txt", "LOC_val_solution.csv"):
            (tree.parent / name).rename(tree / name)
    dataset = Ilsvrc(tree.parent if above else tree)
    assert dataset.root == tree
    assert dataset.classes[0] == f"{TENCH} tench"
    assert dataset.items("val")[0].annotation == f"{TENCH} 85 1 99 72"


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="give the folder that holds Data/CLS-LOC"):
        Ilsvrc(tmp_path)


def test_classes_are_in_the_order_of_the_mapping_and_unique(tree: Path) -> None:
    assert Ilsvrc(tree).classes == (f"{TENCH} tench", f"{MACHINE} crane", f"{BIRD} crane")


def test_without_a_mapping_classes_are_the_folders_of_train(tree: Path) -> None:
    (tree.parent / "LOC_synset_mapping.txt").unlink()
    for synset in (MACHINE, BIRD):
        (tree / PARTS[0] / "train" / synset).mkdir()
    put(tree / PARTS[0] / "train/readme.txt", "")
    assert Ilsvrc(tree).classes == SYNSETS


def test_without_mapping_and_folders_there_are_no_classes(tree: Path) -> None:
    (tree.parent / "LOC_synset_mapping.txt").unlink()
    (tree / PARTS[0] / "train").rename(tree / PARTS[0] / "test")
    with pytest.raises(NotFound, match=r"neither LOC_synset_mapping.txt nor .*add the mapping"):
        Ilsvrc(tree)


@pytest.mark.parametrize(
    ("text", "reason"), [("", "no synsets"), (MAPPING + MAPPING, f"{TENCH} is there twice")]
)
def test_wrong_mappings(tree: Path, text: str, reason: str) -> None:
    put(tree.parent / "LOC_synset_mapping.txt", text)
    with pytest.raises(InputRejected, match=f"LOC_synset_mapping.txt: {reason}"):
        Ilsvrc(tree)


def test_splits(tree: Path) -> None:
    assert Ilsvrc(tree).splits() == ("train", "val")
    with pytest.raises(NotFound, match=r"unknown split 'test' .*train, val"):
        Ilsvrc(tree).items("test")
    (tree / PARTS[2] / "val.txt").unlink()
    assert Ilsvrc(tree).splits() == ("train", "val")
    (tree.parent / "LOC_val_solution.csv").unlink()
    assert Ilsvrc(tree).splits() == ("train",)
    (tree / PARTS[2] / "train_cls.txt").unlink()
    assert Ilsvrc(tree).splits() == ()


def test_items_of_train_are_listed_in_order_existing_or_not(tree: Path) -> None:
    path = put(tree / PARTS[1] / "train" / TENCH / f"{TENCH}_10026.xml", "")
    first, second, third = Ilsvrc(tree).items("train")
    assert first == Item(
        image_id=f"{TENCH}_10026",
        split="train",
        image_path=f"Data/CLS-LOC/train/{TENCH}/{TENCH}_10026.JPEG",
        annotation=f"Annotations/CLS-LOC/train/{TENCH}/{TENCH}_10026.xml",
        num_bytes=5,
        truth_digest=file_digest(path),
    )
    assert (second.image_id, second.num_bytes, second.annotation) == (f"{BIRD}_3", 0, "")
    assert third.image_id == f"{TENCH}_2"


@pytest.mark.parametrize(
    "line", ["n99999999/n99999999_1 1", f"{TENCH}_1 1", f"{TENCH}/ 1", f"../{TENCH}/x 1", "/", "\0"]
)
def test_lines_of_train_that_name_no_image(tree: Path, line: str) -> None:
    put(tree / PARTS[2] / "train_cls.txt", TRAIN_LIST + line)
    items = Ilsvrc(tree).items("train")
    assert len(items) == 4
    assert "is not <synset>/<image>; correct the list" in items[-1].fault
    assert not any(item.fault for item in items[:-1])


def test_items_of_val_have_their_row(tree: Path) -> None:
    first, second, third = Ilsvrc(tree).items("val")
    assert first == Item(
        image_id="ILSVRC2012_val_00000001",
        split="val",
        image_path="Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG",
        annotation=f"{TENCH} 85 1 99 72",
        num_bytes=3,
    )
    assert (second.annotation, third.num_bytes) == ("", 0)
    assert third.annotation == f"{BIRD} 1 2 30 40 {BIRD} 0 0 100 80"


def test_without_a_list_the_rows_are_the_list(tree: Path) -> None:
    (tree / PARTS[2] / "val.txt").unlink()
    items = Ilsvrc(tree).items("val")
    assert [item.image_id[-1] for item in items] == ["3", "1"]
    assert not any(item.fault for item in items)


def test_rows_without_their_image_and_repeated_rows(tree: Path) -> None:
    table = tree.parent / "LOC_val_solution.csv"
    row = f"{TENCH} 1 1 2 2"
    table.write_text(
        CSV + f"ILSVRC2012_val_00000009,{row}\nILSVRC2012_val_00000001,{row}\n"
        f'"ILSVRC2012_val_00000002","{row}"\n,{row}\nrubbish\n"\n'
    )
    items = {item.image_id: item for item in Ilsvrc(tree).items("val")}
    assert len(items) == 3 + 3
    assert "LOC_val_solution.csv has 2 rows" in items["ILSVRC2012_val_00000001"].fault
    assert items["ILSVRC2012_val_00000002"].annotation == row
    for name in ("ILSVRC2012_val_00000009", "", "rubbish"):
        assert items[name].fault.startswith("annotation without its image")
    (tree / PARTS[2] / "val.txt").unlink()
    faults = {item.image_id: item.fault for item in Ilsvrc(tree).items("val")}
    assert faults["ILSVRC2012_val_00000009"] == ""
    assert "not a path" in faults[""]


def test_images_of_train_have_the_label_of_their_folder(tree: Path) -> None:
    truth = train_truth(tree, None)
    assert (truth.labels, truth.difficult_labels, truth.boxes_xyxy.shape) == ((0,), (), (0, 4))
    hard = "<difficult>1</difficult><truncated>1</truncated>"
    truth = train_truth(
        tree, xml((TENCH, (0, 0, WIDTH, HEIGHT)), (TENCH, (1, 2, 3, 4)), extra=hard)
    )
    assert (truth.labels, truth.difficult_labels) == ((0,), ())
    np.testing.assert_array_equal(truth.boxes_xyxy, [[0, 0, WIDTH, HEIGHT], [1, 2, 3, 4]])
    assert truth.box_truncated.all()


def test_words_in_place_of_a_synset_mean_that_of_the_folder(tree: Path) -> None:
    truth = train_truth(tree, xml(("Scottish_deerhound", (1, 2, 3, 4))))
    assert (truth.labels, truth.box_labels.tolist()) == ((0,), [0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not well-formed XML"),
        ("<annotation/>", "no <object>; add one or remove the file"),
        (xml((BIRD, (1, 2, 3, 4))), f"objects of {BIRD} in an image of {TENCH}"),
        (xml((TENCH, (1, 2, 3, 4)), (BIRD, (1, 2, 3, 4))), f"objects of {TENCH}, {BIRD}, an image"),
        (xml(("n00000009", (1, 2, 3, 4))), f"unknown class 'n00000009' .*{TENCH}"),
        (xml((TENCH, (3, 2, 3, 4))), "empty"),
        (xml((TENCH, (1, 2, WIDTH + 1, 4))), "outside"),
    ],
)
def test_wrong_files_of_train(tree: Path, text: str, reason: str) -> None:
    with reading(strict=True), pytest.raises(InputRejected, match=reason) as caught:
        train_truth(tree, text)
    assert f"{TENCH}/{TENCH}_10026.xml: " in str(caught.value)


def test_a_file_that_is_gone_since_it_was_listed(tree: Path) -> None:
    path = put(tree / PARTS[1] / "train" / TENCH / f"{TENCH}_10026.xml", "")
    dataset = Ilsvrc(tree)
    item = dataset.items("train")[0]
    path.unlink()
    with pytest.raises(InputRejected, match="no such file"):
        dataset.annotation(item, WIDTH, HEIGHT)


def test_rows_of_val(tree: Path) -> None:
    truth = val_truth(tree, f"{BIRD} 1 2 30.5 40 {BIRD} 0 0 100 80 ")
    assert (truth.labels, truth.box_labels.tolist()) == ((2,), [2, 2])
    np.testing.assert_array_equal(truth.boxes_xyxy, [[1, 2, 30.5, 40], [0, 0, 100, 80]])
    assert truth.boxes_xyxy.dtype == np.float32
    truth = val_truth(tree, f"{BIRD} -1 2 300 40", clip_boxes=True)
    np.testing.assert_array_equal(truth.boxes_xyxy, [[0, 2, 100, 40]])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("", "0 fields, .*add the row"),
        (TENCH, "1 fields, not a synset and 4 corners"),
        (f"{TENCH} 1 2 3 4 {TENCH}", "6 fields"),
        (f"{TENCH} 1 2 3 4 {BIRD} 1 2 3 4", f"objects of {TENCH}, {BIRD}, an image has one class"),
        ("n00000000 1 2 3 4", "unknown class 'n00000000'"),
        ("1 2 3 4 5", "unknown class '1'"),
        (f"{TENCH} 1 2 x 4", "a corner of box 1 2 x 4 is 'x', not a number"),
        (f"{TENCH} 1 2 nan 4", "not a number"),
        (f"{TENCH} 3 2 1 4", "box 3 2 1 4 is inverted or empty"),
        (f"{TENCH} 1 2 3 81", "outside the upright image of 100x80"),
        (f"{TENCH} 1 2 3 4 {TENCH} -1 2 3 4", "box -1 2 3 4 is outside"),
    ],
)
def test_wrong_rows(tree: Path, row: str, reason: str) -> None:
    with reading(strict=True), pytest.raises(InputRejected, match=reason) as caught:
        val_truth(tree, row)
    assert str(caught.value).startswith("LOC_val_solution.csv: ")
    assert "\n" not in str(caught.value)


def test_images_of_val_without_a_row(tree: Path) -> None:
    dataset = Ilsvrc(tree)
    with pytest.raises(InputRejected, match="0 fields"):
        dataset.annotation(dataset.items("val")[1], WIDTH, HEIGHT)


def test_a_message_does_not_list_a_thousand_classes() -> None:
    synsets = [f"n{index:08d}" for index in range(1000)]
    with pytest.raises(InputRejected, match="unknown class 'n1', none of the 1000; correct it"):
        solved("n1 1 2 3 4", WIDTH, HEIGHT, synsets, BoxRules())


@given(
    st.lists(st.sampled_from([TENCH, BIRD, "0", "1e9", "-1", "80", "x", "\0", "nan"])), st.text()
)
def test_any_row_is_read_or_refused(words: list[str], text: str) -> None:
    for row in (" ".join(words), text):
        with suppress(InputRejected):
            with reading() as remarks:
                truth = solved(row, WIDTH, HEIGHT, SYNSETS, BoxRules())
            assert len(truth.labels) == 1
            assert len(truth.boxes_xyxy) + sum(remarks.values()) == len(row.split()) / 5


def interval(length: int) -> st.SearchStrategy[list[float]]:
    ends = st.lists(st.floats(0, length, width=32), min_size=2, max_size=2, unique=True)
    return ends.map(sorted)


@given(st.lists(st.tuples(interval(WIDTH), interval(HEIGHT)), min_size=1))
def test_written_numbers_are_exact(sides: list[tuple[list[float], list[float]]]) -> None:
    boxes = np.array([[x[0], y[0], x[1], y[1]] for x, y in sides], np.float32)
    row = " ".join(" ".join([BIRD, *map(as_text, box)]) for box in boxes.tolist())
    truth = solved(row, WIDTH, HEIGHT, SYNSETS, BoxRules())
    np.testing.assert_array_equal(truth.boxes_xyxy, boxes)


def test_without_rows_val_has_files(tree: Path) -> None:
    (tree.parent / "LOC_val_solution.csv").unlink()
    dataset = Ilsvrc(tree)
    item = dataset.items("val")[1]
    assert item.annotation == "Annotations/CLS-LOC/val/ILSVRC2012_val_00000002.xml"
    with pytest.raises(InputRejected, match="no such file"):
        dataset.annotation(item, WIDTH, HEIGHT)
    put(tree / item.annotation, xml((MACHINE, (1, 2, 3, 4))))
    assert dataset.annotation(item, WIDTH, HEIGHT).labels == (1,)
    put(tree / item.annotation, xml((MACHINE, (1, 2, 3, 4)), (BIRD, (1, 2, 3, 4))))
    with pytest.raises(InputRejected, match="an image has one class"):
        dataset.annotation(item, WIDTH, HEIGHT)


def blacklisted(dataset: Dataset) -> list[str]:
    items = dataset.items("val")
    truths = {i.image_id[-1]: dataset.annotation(i, WIDTH, HEIGHT) for i in items if i.annotation}
    assert not any(item.blacklisted for item in dataset.items("train"))
    return [name for name, truth in truths.items() if truth.blacklisted]


@pytest.mark.parametrize("place", [".", "..", "devkit/data", "../devkit/data"])
def test_the_blacklist_is_found(tree: Path, place: str) -> None:
    assert blacklisted(Ilsvrc(tree)) == []
    put(tree / place / BLACKLIST, "3\n4\n")
    assert blacklisted(Ilsvrc(tree)) == ["3"]


def test_the_newest_blacklist_is_taken(tree: Path) -> None:
    for year, number in ((2014, 1), (2015, 3)):
        put(tree / f"devkit/data/ILSVRC{year}_clsloc_validation_blacklist.txt", f"{number}\n")
    found = find_blacklist(tree)
    assert found is not None
    assert found.name == BLACKLIST


def test_the_blacklist_of_the_options(tree: Path, tmp_path: Path) -> None:
    put(tree / BLACKLIST, "3\n")
    mine = put(tmp_path / "mine.txt", "0001\n")
    assert blacklisted(open_dataset("ilsvrc", tree, {"blacklist": str(mine)})) == ["1"]
    with pytest.raises(NotFound, match=r"none.txt: no such blacklist; correct the option"):
        open_dataset("ilsvrc", tree, {"blacklist": tmp_path / "none.txt"})
    with pytest.raises(ConfigError, match="did you mean 'blacklist'"):
        open_dataset("ilsvrc", tree, {"blacklst": "a"})


@pytest.mark.parametrize("line", ["x", "0", "-1", "1.5", "1 2"])
def test_wrong_blacklists(tree: Path, line: str) -> None:
    put(tree / BLACKLIST, f"3\n{line}\n")
    with pytest.raises(InputRejected, match=f"{BLACKLIST}: '{line}' is not a number"):
        Ilsvrc(tree).items("val")


def test_numbers_of_the_blacklist(tree: Path) -> None:
    """The number is in an official name; other names have it beside them."""
    put(tree / BLACKLIST, "3\n7\n")
    listed = "ILSVRC2012_val_00000003 1\nILSVRC2012_val_00000001 3\na 7\nb\nc x\n"
    put(tree / PARTS[2] / "val.txt", listed)
    chosen = [item.image_id for item in Ilsvrc(tree).items("val") if item.blacklisted]
    assert chosen == ["ILSVRC2012_val_00000003", "a"]
    (tree / PARTS[2] / "val.txt").unlink()
    assert [i.image_id[-1] for i in Ilsvrc(tree).items("val") if i.blacklisted] == ["3"]


def digits() -> list[Record]:
    records = list(draw_all(SingleDigitsOptions(train=6, val=4, test=1)))
    flagged = replace(records[8].truth, blacklisted=True)
    boxless = replace(GroundTruth(), labels=records[1].truth.labels)
    records[1] = replace(records[1], truth=boxless)
    records[8] = replace(records[8], truth=flagged)
    return records


def read_back(root: Path, out: Path) -> dict[str, Record]:
    return ingest_all(open_dataset("ilsvrc", root), out)


@pytest.mark.parametrize("source", ["csv", "xml", "csv only"])
def test_written_digits_are_read_back(tmp_path: Path, source: str) -> None:
    records = digits()
    Ilsvrc.write(tmp_path / "raw", CLASSES, iter(records))
    if source == "xml":
        (tmp_path / "raw/LOC_val_solution.csv").unlink()
    if source == "csv only":
        (tmp_path / "raw/ImageSets/CLS-LOC/val.txt").unlink()
    found = read_back(tmp_path / "raw", tmp_path / "shards")
    assert list(found) == [record.image_id for record in records if record.split != "test"]
    for record in records[:-1]:
        same = found[record.image_id]
        assert (same.image, same.split) == (record.image, record.split)
        limits = ImageLimits()
        np.testing.assert_array_equal(decode(same.image, limits), decode(record.image, limits))
        assert same.truth.labels == record.truth.labels
        np.testing.assert_array_equal(same.truth.boxes_xyxy, record.truth.boxes_xyxy)
        np.testing.assert_array_equal(same.truth.box_labels, record.truth.box_labels)
        # A name that is not official has its number on the list only.
        assert same.truth.blacklisted == (record.truth.blacklisted and source != "csv only")


def test_bad_images_are_quarantined_and_counts_add_up(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    Ilsvrc.write(root, CLASSES, digits())
    train, val = (Ilsvrc(root).items(split) for split in ("train", "val"))
    (root / train[0].image_path).unlink()
    (root / train[2].annotation).write_text("<annotation>")
    with (root / PARTS[2] / "train_cls.txt").open("a") as lines:
        again = "/".join(train[3].image_path.removesuffix(".JPEG").split("/")[-2:])
        lines.write(f"rubbish\n{again} 9\n")
    table = root / "LOC_val_solution.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([*rows[:-2], f"{val[2].image_id},n1", "orphan,n00000001 0 0 1 1"]))
    found = read_back(root, tmp_path / "shards")
    splits = read_shard_manifest(tmp_path / "shards").splits
    assert (splits["train"].listed, splits["train"].quarantined) == (8, 4)
    assert (splits["val"].listed, splits["val"].quarantined) == (5, 3)
    assert len(found) == 6


def test_class_names_with_synsets_are_kept(tmp_path: Path) -> None:
    names = tuple(f"n1000000{index} {name}" for index, name in enumerate(CLASSES))
    Ilsvrc.write(tmp_path, names, digits())
    assert Ilsvrc(tmp_path).classes == names
    with pytest.raises(ValueError, match="two classes have one synset"):
        Ilsvrc.write(tmp_path, ["n00000001 a", "b"], [])


def test_lists_are_replaced_and_splits_left_out(tmp_path: Path) -> None:
    records = digits()
    Ilsvrc.write(tmp_path, CLASSES, records)
    assert Ilsvrc(tmp_path).classes[3] == "n00000003 three"
    assert (tmp_path / "devkit/data" / BLACKLIST).read_text() == "3\n"
    assert len(list(tmp_path.rglob("*.JPEG"))) == 10
    assert len(list(tmp_path.rglob("*.xml"))) == 9
    Ilsvrc.write(tmp_path, CLASSES, records[6:8])
    dataset = Ilsvrc(tmp_path)
    assert [len(dataset.items(split)) for split in dataset.splits()] == [6, 2]
    assert find_blacklist(tmp_path) is None


BOX = np.array([[0, 0, 5, 5]], np.float32)
TWO = np.repeat(BOX, 2, axis=0)
ONE_CLASS = GroundTruth.from_boxes(BOX, np.array([1], np.int32))


@pytest.mark.parametrize(
    ("image_id", "truth", "reason"),
    [
        ("a", GroundTruth(), "0 classes, the layout has one per image"),
        ("a", GroundTruth(labels=(1,)), "no box; images of val need one"),
        ("a", GroundTruth.from_boxes(TWO, np.array([1, 2], np.int32)), "2 classes"),
        ("a", replace(ONE_CLASS, labels=(2,)), "2 classes"),
        ("a", replace(ONE_CLASS, box_difficult=np.array([True])), "no difficult objects"),
        ("a", replace(ONE_CLASS, box_crowd=np.array([True])), "no crowds"),
        ("../up", ONE_CLASS, "not a plain file name"),
        ("a b", ONE_CLASS, "holds white space, a comma or a quote"),
        ("a,b", ONE_CLASS, "holds white space"),
        ("a\n", ONE_CLASS, "holds white space"),
        ("", ONE_CLASS, "holds white space"),
    ],
)
def test_records_that_the_layout_cannot_hold(
    tmp_path: Path, image_id: str, truth: GroundTruth, reason: str
) -> None:
    record = Record(image_id, "val", b"", WIDTH, HEIGHT, truth)
    with pytest.raises(ValueError, match=reason):
        Ilsvrc.write(tmp_path, CLASSES, [record])
