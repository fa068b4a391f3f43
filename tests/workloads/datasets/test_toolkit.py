"""The evaluation toolkit's metadata: boxes, masks, places of images, all that can be wrong."""

from __future__ import annotations

import dataclasses
import errno
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingesting import ingest_split

from workloads.datasets.base import Item
from workloads.datasets.digit_options import SingleDigitsOptions
from workloads.datasets.digits import CLASSES, draw_all
from workloads.datasets.registry import open_dataset
from workloads.datasets.remarks import reading
from workloads.datasets.toolkit import ToolkitMetadata, ToolkitOptions
from workloads.datasets.toolkit_lines import box_lines, line_id, read_box, read_places
from workloads.errors import ConfigError, InputRejected, NotFound, TooLarge
from workloads.images.decode import ImageLimits, decode
from workloads.images.masks import FOREGROUND, IGNORED, decode_mask, encode_mask
from workloads.records import GroundTruth, Record

WIDTH, HEIGHT = 100, 80
IMAGE = "001.Albatross/a.jpg"
LIMITS = ImageLimits()


def put(root: Path, split: str = "val", **files: str | None) -> Path:
    """A split with one image; None leaves a file out."""
    usual = {
        "image_ids": f"{IMAGE}\n",
        "class_labels": f"{IMAGE},1\n",
        "image_sizes": f"{IMAGE},{WIDTH},{HEIGHT}\n",
        "localization": f"{IMAGE},1,2,30,40\n",
    }
    (root / split).mkdir(parents=True, exist_ok=True)
    for name, text in {**usual, **files}.items():
        if text is not None:
            (root / split / f"{name}.txt").write_text(text, encoding="utf-8")
    return root


def read(root: Path, clip: bool = False, **files: str | None) -> GroundTruth:
    dataset = ToolkitMetadata(put(root, **files), ToolkitOptions(clip_boxes=clip))
    item = dataset.items("val")[0]
    assert not item.fault
    return dataset.annotation(item, WIDTH, HEIGHT)


def put_mask(path: Path, box: tuple[int, int, int, int] | None, shape: tuple = (40, 50)) -> None:
    """A grey mask, white in a box."""
    mask = np.zeros(shape, np.uint8)
    if box is not None:
        mask[box[1] : box[3], box[0] : box[2]] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask)


def test_listing(tmp_path: Path) -> None:
    put(tmp_path, image_ids=f"\n{IMAGE}\nb.jpg \n", class_labels=f"b.jpg,0\n{IMAGE},1\n")
    (tmp_path / "001.Albatross").mkdir()
    (tmp_path / IMAGE).write_bytes(b"12345")
    first, second = ToolkitMetadata(tmp_path).items("val")
    said = ["1", f"{WIDTH},{HEIGHT}", "1,2,30,40"]
    assert first == Item(IMAGE, "val", IMAGE, json.dumps(said), 5)
    assert (second.image_id, second.num_bytes) == ("b.jpg", 0)
    assert json.loads(second.annotation) == ["0", None, None]


def test_root_and_splits(tmp_path: Path) -> None:
    with pytest.raises(
        NotFound, match=r"no wsolevaluation there; give the folder that holds <split>/image_ids"
    ):
        ToolkitMetadata(put(tmp_path / "metadata/CUB").parent)
    put(tmp_path / "metadata/CUB", "train")
    (tmp_path / "metadata/CUB/other").mkdir()
    dataset = open_dataset("wsolevaluation", tmp_path / "metadata/CUB")
    assert dataset.splits() == ("train", "val")
    assert dataset.task == "singlelabel"
    with pytest.raises(NotFound, match=r"unknown split 'trian'; did you mean 'train'"):
        dataset.items("trian")


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("metadata/CUB/images", f"images/{IMAGE}"),
        ("dataset/CUB", f"../../dataset/CUB/{IMAGE}"),
        ("metadata/CUB", IMAGE),
    ],
)
def test_default_places_of_images(tmp_path: Path, folder: str, path: str) -> None:
    (tmp_path / folder / IMAGE).parent.mkdir(parents=True)
    (tmp_path / folder / IMAGE).write_bytes(b"123")
    dataset = ToolkitMetadata(put(tmp_path / "metadata/CUB"))
    (item,) = dataset.items("val")
    assert (item.image_path, item.num_bytes) == (path, 3)
    assert (dataset.root / item.image_path).read_bytes() == b"123"


@pytest.mark.parametrize("below", ["elsewhere", "metadata/CUB/elsewhere", "metadata/CUB"])
def test_images_may_be_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    root = put(tmp_path / "metadata/CUB")
    folder = tmp_path / below
    (folder / IMAGE).parent.mkdir(parents=True)
    (folder / IMAGE).write_bytes(b"123")
    monkeypatch.chdir(tmp_path)
    for given_path in (below, str(folder)):
        dataset = open_dataset("wsolevaluation", root, {"images": given_path})
        (item,) = dataset.items("val")
        inside = folder.is_relative_to(root)
        assert item.image_path == str(
            (folder / IMAGE).relative_to(root) if inside else folder / IMAGE
        )
        assert item.num_bytes == 3
        assert (dataset.root / item.image_path).read_bytes() == b"123"


@pytest.mark.parametrize("option", ["images", "masks"])
def test_folders_in_options_must_exist(tmp_path: Path, option: str) -> None:
    with pytest.raises(NotFound, match="gone: no such folder; correct the data set's options"):
        open_dataset("wsolevaluation", put(tmp_path), {option: str(tmp_path / "gone")})


def test_unknown_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'image'; did you mean 'images'"):
        open_dataset("wsolevaluation", put(tmp_path), {"image": "x"})


def test_class_names(tmp_path: Path) -> None:
    put(tmp_path)
    put(tmp_path, "train", class_labels=f"{IMAGE},3\nb.jpg,-5\nc.jpg,9999999\nd,{'9' * 5000}\ne\n")
    assert ToolkitMetadata(tmp_path).classes == ("0", "1", "2", "3")
    (tmp_path / "class_names.txt").write_text("auk\n\nblack bird \n")
    dataset = ToolkitMetadata(tmp_path)
    assert dataset.classes == ("auk", "black bird")
    (tmp_path / "others.txt").write_text("eagle\ngull\njay\n")
    options = ToolkitOptions(class_names=tmp_path / "others.txt")
    assert ToolkitMetadata(tmp_path, options).classes == ("eagle", "gull", "jay")
    copy = pickle.loads(pickle.dumps(dataset))
    (tmp_path / "class_names.txt").write_text("crane\njay\ncrane\n")
    assert copy.classes == dataset.classes
    with pytest.raises(ConfigError, match="class name 'crane' is there twice"):
        ToolkitMetadata(tmp_path)
    with pytest.raises(NotFound, match=r"gone\.txt: no such list"):
        ToolkitMetadata(tmp_path, ToolkitOptions(class_names=tmp_path / "gone.txt"))


def test_boxes_as_they_stand(tmp_path: Path) -> None:
    truth = read(
        tmp_path, localization=f"{IMAGE},1,2,30,40\nb.jpg,1,1,2,2\n{IMAGE},0.25,0,100,80\n"
    )
    np.testing.assert_array_equal(truth.boxes_xyxy, [[1, 2, 30, 40], [0.25, 0, 100, 80]])
    assert truth.boxes_xyxy.dtype == np.float32
    assert truth.box_labels.tolist() == [1, 1]
    assert (truth.labels, truth.mask) == ((1,), None)


@pytest.mark.parametrize("places", [None, "", "b.jpg,1,1,2,2\n"])
def test_images_may_be_without_boxes(tmp_path: Path, places: str | None) -> None:
    truth = read(tmp_path, localization=places)
    assert truth.labels == (1,)
    assert truth.boxes_xyxy.shape == (0, 4)


def test_sizes_may_be_missing(tmp_path: Path) -> None:
    assert len(read(tmp_path, image_sizes=None).boxes_xyxy) == 1


def test_boxes_are_cut_if_so_asked(tmp_path: Path) -> None:
    truth = read(tmp_path, clip=True, localization=f"{IMAGE},-5,2,500,40\n")
    np.testing.assert_array_equal(truth.boxes_xyxy, [[0, 2, 100, 40]])


@pytest.mark.parametrize(
    ("file", "rest", "reason"),
    [
        ("class_labels", None, "image without a label: no line for it; add one or unlist"),
        ("class_labels", "", r"class label is '' \(allowed: 0 to 1\)"),
        ("class_labels", "-1", r"class label is '-1' \(allowed: 0 to 1\)"),
        ("class_labels", "1.0", r"class label is '1\.0'"),
        ("class_labels", "one", "class label is 'one'"),
        ("class_labels", "1,1", "class label is '1,1'"),
        ("class_labels", "\u0661", "class label is '\u0661'"),
        ("class_labels", "100001", r"class label is '100001' \(allowed: 0 to 1\)"),
        ("class_labels", "9" * 5000, "class label is '999"),
        ("class_labels", f"1\n{IMAGE},0", "contradictory lines: 0 and 1; keep one"),
        ("image_sizes", "80,100", "line says 80x100, .* image is 100x80: the sides are swapped"),
        ("image_sizes", "100,81", "says 100x81, the upright image is 100x80; correct"),
        ("image_sizes", "100", "size is '100'; give width,height"),
        ("image_sizes", "100,80,3", "size is '100,80,3'; give"),
        ("image_sizes", "100,x", "size is '100,x'; give"),
        ("image_sizes", "", "size is ''; give"),
        ("image_sizes", f"100,80\n{IMAGE},80,100", "contradictory lines"),
        ("localization", "1,2,30,x", "y1 is 'x', not a number"),
        ("localization", "1,2,30,", "y1 is '', not a number"),
        ("localization", "nan,2,30,40", "x0 is 'nan', not a number"),
        ("localization", "1,2,1,40", "box 1,2,1,40 is inverted or empty"),
        ("localization", "1,40,30,2", "box 1,40,30,2 is inverted"),
        ("localization", "1,2,101,40", "box 1,2,101,40 is outside the upright image of 100x80"),
        ("localization", "-1,2,10,40", "is outside"),
        ("localization", "1,2,30", "cannot read '1,2,30'; give x0,y0,x1,y1 on all"),
        ("localization", "1,2,30,40,50", "cannot read"),
        ("localization", "", "cannot read ''"),
        ("localization", f"1,2,30,40\n{IMAGE},m.png,", "cannot read '1,2,30,40 and m.png,'; give"),
        ("localization", "m.png,", "mask 'm.png': no such file; add it or unlist the image"),
        ("localization", ",i.png", "give a mask on each line"),
        ("localization", f"m.png,i.png\n{IMAGE},n.png,i.png", "an ignore mask on one only"),
    ],
)
def test_wrong_lines(tmp_path: Path, file: str, rest: str | None, reason: str) -> None:
    put(tmp_path, "train")  # it says that there are two classes
    text = "" if rest is None else f"{IMAGE},{rest}\n"
    with reading(strict=True), pytest.raises(InputRejected, match=reason) as caught:
        read(tmp_path, **{file: text})
    assert str(caught.value).startswith(f"val/{file}.txt: ")
    assert "\n" not in str(caught.value)


def test_labels_beyond_the_names(tmp_path: Path) -> None:
    (tmp_path / "class_names.txt").write_text("auk\njay\n")
    assert read(tmp_path, class_labels=f"{IMAGE},1\n").labels == (1,)
    with pytest.raises(InputRejected, match=r"class label is '2' \(allowed: 0 to 1\)"):
        read(tmp_path, class_labels=f"{IMAGE},2\n")


def test_lines_without_a_comma(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="class label is ''"):
        read(tmp_path, class_labels=f"{IMAGE}\n")


def test_labels_are_needed(tmp_path: Path) -> None:
    dataset = ToolkitMetadata(put(tmp_path, class_labels=None))
    with pytest.raises(NotFound, match=r"class_labels\.txt: no such list"):
        dataset.items("val")


def test_annotations_without_their_image(tmp_path: Path) -> None:
    put(
        tmp_path,
        class_labels=f"b.jpg,0\n{IMAGE},1\n,1\n",
        localization="c.jpg,1,2,3,4\nb.jpg,1,2,3,4\nc.jpg,3,4,5,6\n",
        image_sizes="d.jpg,3,4\n",
    )
    first, *others = ToolkitMetadata(tmp_path).items("val")
    assert not first.fault
    assert [item.image_id for item in others] == ["b.jpg", "", "c.jpg"]
    for item in others:
        assert item.fault.startswith("annotation without its image: image_ids.txt does not list it")


@pytest.mark.parametrize("image", ["../a.jpg", "/a.jpg", ".", "a/../../b.jpg"])
def test_paths_stay_below_the_images(tmp_path: Path, image: str) -> None:
    dataset = ToolkitMetadata(put(tmp_path, image_ids=f"{image}\n{'x' * 5000}/y.jpg\n\0.jpg\n"))
    bad, long, odd, *_ = dataset.items("val")
    assert bad.fault == f"{image!r} is not a path below the data set's folder; correct the list"
    assert (long.fault, odd.fault) == ("", "")
    _, rejected = ingest_split(dataset, [long, odd], tmp_path / "shards")
    assert {entry.reason for entry in rejected} == {"no such file; add it or unlist the image"}


def test_masks(tmp_path: Path) -> None:
    put_mask(tmp_path / "val/m1.png", (0, 0, 10, 5))
    put_mask(tmp_path / "val/m2.png", (5, 0, 20, 5))
    put_mask(tmp_path / "val/i.png", (15, 0, 30, 10))
    lines = f"{IMAGE},val/m1.png,val/i.png\n{IMAGE},val/m2.png,\n"
    truth = read(tmp_path, image_sizes=None, localization=lines)
    assert truth.mask is not None
    expected = np.zeros((40, 50), np.uint8)
    expected[:10, 15:30] = IGNORED
    expected[:5, :20] = FOREGROUND
    np.testing.assert_array_equal(decode_mask(truth.mask), expected)
    assert truth.labels == (1,)
    assert len(truth.boxes_xyxy) == 0
    alone = read(tmp_path, image_sizes=None, localization=f"{IMAGE},val/m1.png,\n")
    assert alone.mask is not None
    assert set(decode_mask(alone.mask).ravel()) == {0, FOREGROUND}


def test_masks_may_be_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "m/O", localization=f"{IMAGE},m.png,\n")
    for folder, box in (("masks", (0, 0, 2, 2)), ("m/O/images", (0, 0, 3, 3)), ("i", (0, 0, 4, 4))):
        put_mask(tmp_path / folder / "m.png", box)
    monkeypatch.chdir(tmp_path)
    for options, pixels in (({}, 9), ({"images": "i"}, 16), ({"images": "i", "masks": "masks"}, 4)):
        dataset = open_dataset("wsolevaluation", tmp_path / "m/O", options)
        monkeypatch.chdir("/")  # as workers have it
        truth = dataset.annotation(dataset.items("val")[0], WIDTH, HEIGHT)
        assert truth.mask is not None
        assert decode_mask(truth.mask).sum() == pixels
        monkeypatch.chdir(tmp_path)


def test_wrong_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = f"{IMAGE},m.png,i.png\n"
    put_mask(tmp_path / "m.png", (0, 0, 2, 2))
    for ignore, reason in ((None, "mask 'i.png': no such file"), (b"x", "mask 'i.png': not an")):
        if ignore is not None:
            (tmp_path / "i.png").write_bytes(ignore)
        with pytest.raises(InputRejected, match=rf"^val/localization\.txt: {reason}"):
            read(tmp_path, localization=lines)
    for name in ("val", "x" * 300, "m.png/x.png"):
        with pytest.raises(InputRejected, match="no such file"):
            read(tmp_path, localization=f"{IMAGE},{name},\n")
    limits = ImageLimits(max_bytes=20)
    monkeypatch.setattr("workloads.datasets.toolkit_lines.ImageLimits", lambda: limits)
    with pytest.raises(TooLarge, match=r"mask 'm\.png': 21 bytes"):
        read(tmp_path, localization=lines)


def test_faults_of_the_machine_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = ToolkitMetadata(put(tmp_path, localization=f"{IMAGE},m.png,\n"))
    (item,) = dataset.items("val")

    def refuse(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        dataset.annotation(item, WIDTH, HEIGHT)


EDGES = st.floats(0, 640, width=32)


@given(st.tuples(EDGES, EDGES, EDGES, EDGES).filter(lambda b: b[0] < b[2] and b[1] < b[3]))
def test_written_boxes_are_the_same_in_single_precision(corners: tuple[float, ...]) -> None:
    boxes = np.array([corners], np.float32)
    (line,) = box_lines("a.jpg", boxes.tolist())
    (fields,) = read_places(line.removeprefix("a.jpg,")).boxes
    found = read_box(fields, 640, 640, clip=False)
    np.testing.assert_array_equal(np.array([found], np.float32), boxes)


def with_masks(records: Iterator[Record]) -> Iterator[Record]:
    """Every third keeps its box; the others have it as a mask, most with an ignored band."""
    for index, record in enumerate(records):
        if index % 3 == 2:
            yield record
            continue
        mask = np.zeros((record.height // 2, record.width * 2), np.uint8)
        mask[3:9, 10:] = IGNORED if index % 3 else 0
        x0, y0, x1, y1 = record.truth.boxes_xyxy[0].astype(int)
        mask[y0 // 2 : y1 // 2, x0 * 2 : x1 * 2] = FOREGROUND
        truth = GroundTruth(labels=record.truth.labels, mask=encode_mask(mask))
        yield dataclasses.replace(record, truth=truth)


@pytest.mark.parametrize("change", [iter, with_masks])
def test_written_metadata_is_ingested_the_same(tmp_path: Path, change: Any) -> None:
    options = SingleDigitsOptions(train=9, val=6, test=3)
    ToolkitMetadata.write(tmp_path, CLASSES, change(draw_all(options)))
    dataset = ToolkitMetadata(tmp_path)
    assert (dataset.splits(), dataset.classes) == (("test", "train", "val"), CLASSES)
    drawn = {f"{record.image_id}.jpg": record for record in change(draw_all(options))}
    for split in dataset.splits():
        found, rejected = ingest_split(dataset, dataset.items(split), tmp_path / "shards")
        assert (len(found), rejected) == (options.count(split), [])
        for record in found:
            same(record, drawn[record.image_id])


def same(found: Record, drawn: Record) -> None:
    assert (found.split, found.image) == (drawn.split, drawn.image)
    assert (found.width, found.height) == (drawn.width, drawn.height)
    np.testing.assert_array_equal(decode(found.image, LIMITS), decode(drawn.image, LIMITS))
    assert (found.truth.labels, found.truth.difficult_labels) == (drawn.truth.labels, ())
    np.testing.assert_array_equal(found.truth.boxes_xyxy, drawn.truth.boxes_xyxy)
    np.testing.assert_array_equal(found.truth.box_labels, drawn.truth.box_labels)
    assert found.truth.mask == drawn.truth.mask


def test_what_is_wrong_is_quarantined_and_counted(tmp_path: Path) -> None:
    options = SingleDigitsOptions(train=9, val=0, test=0)
    ToolkitMetadata.write(tmp_path, CLASSES, with_masks(draw_all(options)))
    dataset = ToolkitMetadata(tmp_path)
    names = [item.image_id for item in dataset.items("train")]
    (tmp_path / "images" / names[0]).unlink()
    (tmp_path / "images" / f"{names[1]}_ignore.png").unlink()
    labels = tmp_path / "train/class_labels.txt"
    labels.write_text(labels.read_text().replace(f"{names[2]},", "other.jpg,"))
    with (tmp_path / "train/image_ids.txt").open("a") as file:
        file.write(f"{names[4]}\n")
    items = dataset.items("train")
    found, rejected = ingest_split(dataset, items, tmp_path / "shards")
    assert (len(items), len(found), len(rejected)) == (11, 6, 5)
    assert [entry.image_id for entry in rejected] == [names[4], *names[:3], "other.jpg"]
    assert [entry.reason.split(";")[0] for entry in rejected] == [
        "listed twice in split 'train'",
        "no such file",
        f"train/localization.txt: mask '{names[1]}_ignore.png': no such file",
        "train/class_labels.txt: image without a label: no line for it",
        "annotation without its image: image_ids.txt does not list it",
    ]


def test_written_files(tmp_path: Path) -> None:
    box = GroundTruth.from_boxes(np.array([[0, 1.5, 3, 4]], np.float32), np.array([2], np.int32))
    mask = np.array([[0, 1], [1, 0]], np.uint8)
    records = [
        Record("x/a", "val", b"1", 8, 9, box),
        Record("b.v2.png", "val", b"2", 8, 9, GroundTruth((1,), mask=encode_mask(mask))),
        Record("c", "train", b"3", 8, 9, GroundTruth((0,))),
    ]
    ToolkitMetadata.write(tmp_path, ["p", "q", "r"], iter(records))
    texts = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*.txt")}
    assert texts == {
        "class_names.txt": "p\nq\nr\n",
        "train/class_labels.txt": "c.jpg,0\n",
        "train/image_ids.txt": "c.jpg\n",
        "train/image_sizes.txt": "c.jpg,8,9\n",
        "train/localization.txt": "",
        "val/class_labels.txt": "x/a.jpg,2\nb.v2.png,1\n",
        "val/image_ids.txt": "x/a.jpg\nb.v2.png\n",
        "val/image_sizes.txt": "x/a.jpg,8,9\nb.v2.png,8,9\n",
        "val/localization.txt": "x/a.jpg,0,1.5,3,4\nb.v2.png,b.v2.png_mask.png,\n",
    }


def boxed(**flags: Any) -> GroundTruth:
    truth = GroundTruth.from_boxes(np.array([[0, 0, 3, 4]], np.float32), np.array([2], np.int32))
    return dataclasses.replace(truth, **flags)


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (GroundTruth(), "exactly one class"),
        (GroundTruth(labels=(1, 2)), "exactly one class"),
        (boxed(labels=(1,)), "exactly one class"),
        (boxed(difficult_labels=(1,)), "exactly one class"),
        (boxed(box_difficult=np.ones(1, bool)), "no difficult objects and no crowds"),
        (boxed(box_crowd=np.ones(1, bool)), "no difficult objects and no crowds"),
        (boxed(mask=encode_mask(np.zeros((2, 2), np.uint8))), "boxes or a mask"),
    ],
)
def test_what_the_layout_has_no_place_for(tmp_path: Path, truth: GroundTruth, reason: str) -> None:
    with pytest.raises(
        ValueError, match=f"x: the layout has .*{reason}|x: the layout has {reason}"
    ):
        ToolkitMetadata.write(tmp_path, CLASSES, [Record("x", "train", b"", 8, 8, truth)])


@pytest.mark.parametrize("image", ["a,b", "a\nb", " a", "", "../a", "/a", "a\0"])
def test_written_ids_can_stand_in_lists(image: str) -> None:
    assert line_id("a b/c.jpg") == "a b/c.jpg"
    with pytest.raises(ValueError, match="cannot stand in lists of paths"):
        line_id(image)
