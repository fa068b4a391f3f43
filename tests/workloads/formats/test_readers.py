"""Formats as other software reads them: corners within the stated rounding, names, ids, classes."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import yaml
from globox import Annotation, AnnotationSet
from hypothesis import given
from hypothesis import strategies as st
from made_candidates import Finding, annotated_image, made_detections
from PIL import ExifTags, Image, ImageOps
from pycocotools.coco import COCO

from workloads.annotation.chunk import ChunkWork
from workloads.annotation.listing import ListedFile
from workloads.annotation.options import Kept
from workloads.annotation.selection import Selection
from workloads.annotation.sources.folder import Folder
from workloads.errors import ConfigError, NotFound
from workloads.formats.base import About, AnnotatedImage
from workloads.formats.registry import FORMATS
from workloads.formats.voc import whole_pixels
from workloads.images.decode import ImageLimits

CLASSES = ("zero", "a <b> & 'c' \"d\" ünï", "two")
NAMES = ("a/photo.jpg", "b/photo.jpg", 'c d/it\'s "ünï" & <x>.jpg', "e\nf.png", "g.jpg")
BOXES = [
    ([[0, 0, 64, 48], [1.5, 2, 3, 4.25]], [0.9, 0.1], [2, 0]),
    ([[63.2, 47.2, 64, 48]], [0.5], [1]),
    ([[10.1, 20.2, 30.3, 40.4]], [1 / 3], [1]),
    ([[5, 6, 7, 8]], [0.25], [0]),
    ([], [], []),
]
ROWS = [
    annotated_image(i, name, made_detections(*found), maps=True)
    for i, (name, found) in enumerate(zip(NAMES, BOXES, strict=True), start=1)
]


def write(name: str, folder: Path, rows=ROWS, **about) -> Path:
    return FORMATS[name]().write(iter(rows), About(CLASSES, **about), folder)


def corners(annotation: Annotation) -> list[list[float]]:
    return [[b.xmin, b.ymin, b.xmax, b.ymax] for b in annotation.boxes]


def assert_near(found: list[list[float]], row: AnnotatedImage, most: float) -> None:
    expected = row.detections.boxes_xyxy
    assert len(found) == len(expected)
    if found:
        assert np.abs(np.asarray(found) - expected).max() <= most


def class_names(row: AnnotatedImage) -> list[str]:
    return [CLASSES[k] for k in row.detections.labels]


def test_coco_results_load_beside_the_truth(tmp_path):
    coco = COCO(str(write("coco", tmp_path)))
    results = coco.loadRes(str(write("coco-results", tmp_path)))
    assert len(results.anns) == 5
    for number, ours in coco.anns.items():
        theirs = results.anns[number]
        for key in ("image_id", "category_id", "bbox", "score"):
            assert ours[key] == theirs[key]


def test_voc_is_read_as_whole_pixels_from_1(tmp_path):
    folder = write("voc", tmp_path) / "Annotations"
    names = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*.xml"))]
    assert names == sorted(str(Path(name).with_suffix(".xml")) for name in NAMES)
    for row in ROWS:
        read = Annotation.from_pascal_voc(folder / Path(row.file_name).with_suffix(".xml"))
        assert read.image_id == row.file_name.rpartition("/")[2]
        assert read.image_size == (64, 48)
        assert [b.label for b in read.boxes] == class_names(row)
        # from 1 and the last one included, to from 0 and half-open
        assert_near([[x0 - 1, y0 - 1, x1, y1] for x0, y0, x1, y1 in corners(read)], row, 0.5)
    (wide, small) = Annotation.from_pascal_voc(folder / "a/photo.xml").boxes
    assert (wide.xmin, wide.ymin, wide.xmax, wide.ymax) == (1, 1, 64, 48)
    # x: 1.5 and 3 to 2 and 3, which is pixel 3; y: 2 and 4.25 to 2 and 4, pixels 3 and 4
    assert (small.xmin, small.ymin, small.xmax, small.ymax) == (3, 3, 3, 4)
    root = ET.parse(folder / 'c d/it\'s "ünï" & <x>.xml').getroot()
    assert (root.findtext("folder"), root.findtext("path")) == ("c d", NAMES[2])


@given(st.integers(1, 300), st.data())
def test_voc_corners_are_in_the_image_and_near(size, data):
    low = data.draw(st.floats(0, size, exclude_max=True, width=32))
    high = data.draw(st.floats(low, size, exclude_min=True, width=32))
    first, last = whole_pixels(low, high, size)
    assert 1 <= first <= last <= size
    most = 0.5 if math.floor(low + 0.5) < math.floor(high + 0.5) else 1
    assert abs(first - 1 - low) <= most
    assert abs(last - high) <= most


def test_names_that_differ_in_the_extension_have_a_file_each_or_are_refused(tmp_path):
    rows = [annotated_image(i, f"a/b.{kind}", made_detections(*BOXES[i]), maps=True)
            for i, kind in enumerate(["jpg", "png", "gif"])]  # fmt: skip
    folder = write("voc", tmp_path, rows) / "Annotations/a"
    assert sorted(p.name for p in folder.iterdir()) == ["b.gif.xml", "b.png.xml", "b.xml"]
    assert Annotation.from_pascal_voc(folder / "b.png.xml").image_id == "b.png"
    with pytest.raises(ConfigError, match=r"'a/b\.png': another image of its folder"):
        write("yolo", tmp_path, rows)
    assert not (tmp_path / "yolo").exists()
    taken = [annotated_image(9, f"a/b.png.{kind}", rows[0].detections) for kind in ("tif.x", "tif")]
    with pytest.raises(ConfigError, match=r"'a/b\.png\.tif': .*the name of another's"):
        write("voc", tmp_path / "other", [*rows, *taken])


def test_yolo_is_read_as_shares_of_the_image(tmp_path):
    folder = write("yolo", tmp_path)
    data = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
    assert data == {"train": "images", "val": "images", "names": dict(enumerate(CLASSES))}
    for row in ROWS:
        path = folder / "labels" / Path(row.file_name).with_suffix(".txt")
        read = Annotation.from_yolo_v5(path, image_size=(64, 48))
        assert [CLASSES[int(b.label)] for b in read.boxes] == class_names(row)
        assert {b.confidence for b in read.boxes} <= {None}
        assert_near(corners(read), row, 1e-6)
    assert (folder / "labels/g.txt").read_text() == ""
    # (1.5, 2) to (3, 4.25) of 64x48
    line = (folder / "labels/a/photo.txt").read_text().splitlines()[1]
    assert line == "0 0.03515625 0.06510417 0.02343750 0.04687500"


def test_cvat_is_read_with_names_and_two_decimals(tmp_path):
    path = write("cvat", tmp_path)
    read = AnnotationSet.from_cvat(path)
    assert set(read.image_ids) == set(NAMES)
    for row in ROWS:
        assert [b.label for b in read[row.file_name].boxes] == class_names(row)
        assert read[row.file_name].image_size == (64, 48)
        assert_near(corners(read[row.file_name]), row, 0.005001)
    root = ET.parse(path).getroot()
    assert [one.text for one in root.findall("meta/task/labels/label/name")] == list(CLASSES)
    assert [one.get("id") for one in root.findall("image")] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("name", ["voc", "cvat"])
def test_xml_says_what_it_cannot_hold(tmp_path, name):
    row = annotated_image(1, "a\x01b\r.jpg", made_detections(*BOXES[1]))
    path = write(name, tmp_path, [row])
    path = path if path.is_file() else next(path.rglob("*.xml"))
    root = ET.parse(path).getroot()
    found = root.findtext("filename") or root.find("image").get("name")
    assert found == "a\\x01b\r.jpg"


def test_label_studio_tasks_are_percent_of_the_image(tmp_path):
    folder = write("label-studio", tmp_path, images="/data/local-files/?d=photos", model="m-1")
    interface = ET.parse(folder / "interface.xml").getroot()
    image, labels = interface.find("Image"), interface.find("RectangleLabels")
    assert [one.get("value") for one in labels] == list(CLASSES)
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    assert len(tasks) == len(ROWS)
    for task, row in zip(tasks, ROWS, strict=True):
        assert task["data"]["file_name"] == row.file_name
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "m-1"
        found, names, scores = [], [], []
        for region in prediction["result"]:
            # What ties a region to the interface, and the size that its percent are of.
            tied = (region["from_name"], region["to_name"])
            assert tied == (labels.get("name"), image.get("name"))
            assert labels.get("toName") == image.get("name")
            assert region["type"] == labels.tag.lower()
            w, h, box = region["original_width"], region["original_height"], region["value"]
            x, y = box["x"] * w / 100, box["y"] * h / 100
            found.append([x, y, x + box["width"] * w / 100, y + box["height"] * h / 100])
            names += box[region["type"]]
            scores.append(region["score"])
        assert_near(found, row, 1e-4)
        assert names == class_names(row)
        np.testing.assert_array_equal(np.float32(scores), row.detections.scores)
        assert prediction["score"] == max(scores, default=0)
    assert tasks[2]["data"]["image"] == (
        "/data/local-files/?d=photos/c%20d/it%27s%20%22%C3%BCn%C3%AF%22%20%26%20%3Cx%3E.jpg"
    )


def test_fiftyone_finds_the_image_and_the_boxes_of_every_key(tmp_path):
    """As its documentation says: keys of labels.json without extension, through data.json."""
    folder = write("fiftyone", tmp_path, images="/photos")
    labels = json.loads((folder / "labels.json").read_text("utf-8"))
    places = {
        Path(key).stem: folder / place
        for key, place in json.loads((folder / "data.json").read_text("utf-8")).items()
    }
    assert labels["classes"] == list(CLASSES)
    assert list(labels["labels"]) == sorted(labels["labels"])  # the order it takes
    for row, (key, boxes) in zip(ROWS, labels["labels"].items(), strict=True):
        assert places[key] == Path("/photos") / row.file_name
        assert int(key) == row.image_id
        shares = [box["bounding_box"] for box in boxes]
        found = [[x * 64, y * 48, (x + w) * 64, (y + h) * 48] for x, y, w, h in shares]
        assert_near(found, row, 1e-4)
        assert [box["label"] for box in boxes] == class_names(row)
        confidences = [box["confidence"] for box in boxes]
        np.testing.assert_array_equal(np.float32(confidences), row.detections.scores)


def test_heat_maps_are_grey_and_as_large_as_the_image(tmp_path):
    folder = write("heatmaps", tmp_path)
    entries = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    assert [(e["image_id"], e["label"]) for e in entries] == [
        (1, 0),
        (1, 2),
        (2, 1),
        (3, 1),
        (4, 0),
    ]
    for entry in entries:
        with Image.open(folder / entry["png"]) as image:
            assert (image.mode, image.size) == ("L", (64, 48))
            pixels = np.asarray(image)
        if entry["image_id"] == 3:  # 1 more than its class in the pixels that the box touches
            assert entry["png"] == f"maps/{NAMES[2]}/1.png"
            assert (entry["lowest"], entry["highest"], entry["class"]) == (0, 2, CLASSES[1])
            expected = np.zeros((48, 64))
            expected[20:41, 10:31] = 255
            np.testing.assert_array_equal(pixels, expected)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # in pycocotools' decode
def test_masks_are_the_foreground_in_the_box(tmp_path):
    coco = COCO(str(write("masks", tmp_path)))
    for number, annotation in coco.anns.items():
        decoded = coco.annToMask(annotation)
        assert decoded.shape == (48, 64)
        assert decoded.sum() == annotation["area"], number
    # (10.1, 20.2) to (30.3, 40.4): the pixels whose centres are inside
    (of_third,) = coco.imgToAnns[3]
    expected = np.zeros((48, 64))
    expected[20:40, 10:30] = 1
    np.testing.assert_array_equal(coco.annToMask(of_third), expected)
    plain = COCO(str(write("coco", tmp_path)))
    assert [a["bbox"] for a in coco.anns.values()] == [a["bbox"] for a in plain.anns.values()]


def test_label_images_have_the_category_of_the_best_box(tmp_path):
    both = made_detections([[0, 0, 20, 20], [10, 10, 40, 30]], [0.9, 0.8], [1, 0])
    row = annotated_image(7, "a/x.jpg", both, maps=True)
    folder = write("masks-png", tmp_path, [row, ROWS[4]])
    categories = json.loads((folder / "categories.json").read_text("utf-8"))
    assert categories == {"1": CLASSES[0], "2": CLASSES[1], "3": CLASSES[2]}
    expected = np.zeros((48, 64))
    expected[10:30, 10:40] = 1
    expected[:20, :20] = 2
    with Image.open(folder / "labels/a/x.jpg.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), expected)
    with Image.open(folder / "labels/g.jpg.png") as image:
        assert (image.size, np.asarray(image).max()) == ((64, 48), 0)
    many = About(tuple(f"{k}" for k in range(300)))
    high = annotated_image(1, "b.jpg", made_detections([[0, 0, 9, 9]], [0.9], [299]), maps=True)
    place = FORMATS["masks-png"]().write([high], many, tmp_path / "many")
    with Image.open(place / "labels/b.jpg.png") as image:
        assert np.asarray(image).max() == 300


@pytest.mark.parametrize("name", ["heatmaps", "masks", "masks-png"])
def test_without_maps_it_is_said(tmp_path, name):
    row = annotated_image(1, "a.jpg", made_detections(*BOXES[0]))
    with pytest.raises(NotFound, match=r"'a\.jpg': its maps were not kept"):
        write(name, tmp_path, [row])


def test_a_prefix_leads_to_the_images(tmp_path):
    for prefix in ("/photos", "/photos/"):
        coco = COCO(str(write("coco", tmp_path, images=prefix)))
        assert coco.imgs[1]["file_name"] == "/photos/a/photo.jpg"
    read = AnnotationSet.from_cvat(write("cvat", tmp_path, images="set 1"))
    assert "set 1/a/photo.jpg" in read.image_ids
    tasks = write("label-studio", tmp_path, images="https://host/x") / "tasks.json"
    found = [task["data"]["image"] for task in json.loads(tasks.read_text("utf-8"))]
    assert found[3] == "https://host/x/e%0Af.png"


class TopLeft(Finding):
    """A box of 4x3 pixels in the upper left corner, as the image is shown."""

    def detect(self, images):
        return [
            made_detections([[0, 0, 4, 3]], [0.9], [1], image.shape[1], image.shape[0])
            for image in images
        ]


def test_a_turned_image_is_annotated_as_it_is_shown(tmp_path):
    """EXIF's orientation 6: rows of the file are columns, so a reader must turn it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    work = ChunkWork((TopLeft(),), Folder(tmp_path), ImageLimits(), Kept())
    (found,) = work.annotate([ListedFile("turned.jpg", 1, 0)], 1)[0].rows
    row = Selection(min_score=0.5).apply(found)
    assert row.orientation == 6
    with Image.open(tmp_path / "turned.jpg") as image:
        assert image.size == (20, 10)
        upright = ImageOps.exif_transpose(image).size
    assert upright == (10, 20)
    coco = COCO(str(write("coco", tmp_path, [row])))
    assert (coco.imgs[1]["width"], coco.imgs[1]["height"]) == upright
    assert coco.anns[1]["bbox"] == [0, 0, 4, 3]
    voc = Annotation.from_pascal_voc(write("voc", tmp_path, [row]) / "Annotations/turned.xml")
    assert voc.image_size == upright
    assert corners(voc) == [[1, 1, 4, 3]]
    cvat = AnnotationSet.from_cvat(write("cvat", tmp_path, [row]))["turned.jpg"]
    assert (cvat.image_size, corners(cvat)) == (upright, [[0, 0, 4, 3]])
    label = (write("yolo", tmp_path, [row]) / "labels/turned.txt").read_text()
    assert label == "1 0.20000000 0.07500000 0.40000000 0.15000000\n"
    tasks = json.loads((write("label-studio", tmp_path, [row]) / "tasks.json").read_text())
    (region,) = tasks[0]["predictions"][0]["result"]
    assert (region["original_width"], region["original_height"]) == upright
    assert (region["image_rotation"], region["value"]["width"]) == (0, 40)
    labels = json.loads((write("fiftyone", tmp_path, [row]) / "labels.json").read_text())
    assert labels["labels"]["000000001"][0]["bounding_box"] == [0, 0, 0.4, 0.15]
