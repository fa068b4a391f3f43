"""Every export format: loads in its reference reader, exact, deterministic, all or nothing."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
import pytest
from made_candidates import annotated_image, made_detections
from pycocotools import mask
from pycocotools.coco import COCO

from workloads.errors import ConfigError
from workloads.formats import parquet as parquet_module
from workloads.formats.base import About, AnnotatedImage
from workloads.formats.registry import FORMATS

CLASSES = ("zero", "ünï 'quoted'", "two")
FOUND = [
    (1, "a/one.jpg", made_detections([[0, 0, 64, 48], [1.5, 2, 3, 4.25]], [0.9, 0.1], [2, 0])),
    (3, 'b "quoted"\nnew line.png', made_detections([], [], [])),
    (4, "c/ünï.jpg", made_detections([[10.1, 20.2, 30.3, 40.4]], [1 / 3], [1])),
]
ROWS = [annotated_image(*found, maps=True) for found in FOUND]
ABOUT = About(tuple(CLASSES))


@pytest.fixture(params=sorted(FORMATS))
def format_name(request) -> str:
    return request.param


def write(name: str, folder: Path, rows=ROWS) -> Path:
    return FORMATS[name]().write(iter(rows), ABOUT, folder)


def test_a_format_says_what_it_wrote_and_writes_nothing_else(format_name, tmp_path):
    written = write(format_name, tmp_path)
    assert written == tmp_path / FORMATS[format_name].path
    assert list(tmp_path.iterdir()) == [written]
    assert write(format_name, tmp_path) == written  # an older one is replaced


def test_unknown_format_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'coco'"):
        FORMATS["coc"]


def test_same_rows_give_the_same_bytes(format_name, tmp_path):
    first, second = (write(format_name, tmp_path / name) for name in ("first", "second"))
    assert content(first) == content(second)


def content(place: Path) -> dict[str, bytes]:
    """Path to bytes of a file, or of all files in a folder."""
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return {str(p.relative_to(place)): p.read_bytes() for p in files if p.is_file()}


def test_no_rows_at_all_is_a_valid_file(format_name, tmp_path):
    place = write(format_name, tmp_path / "empty", [])
    for path in [place, *place.rglob("*.json")]:
        if path.suffix == ".json":
            json.loads(path.read_text("utf-8"))
    assert place.is_dir() or place.stat().st_size > 0


def test_images_are_taken_one_at_a_time(format_name, tmp_path):
    """None is asked for before the one before it can go."""
    alive: list[weakref.ref] = []

    def rows() -> Iterator[AnnotatedImage]:
        for number in range(1, 6):
            found = made_detections([[0, 0, 9, 9]], [0.9], [0])
            alive.append(weakref.ref(found.boxes_xyxy))
            yield annotated_image(number, f"{number}.jpg", found, maps=True)
            del found
            if format_name != "parquet":  # which takes them by row groups
                assert sum(one() is not None for one in alive) <= 2

    write(format_name, tmp_path, rows())


@pytest.mark.parametrize("format_name", ["voc", "yolo", "heatmaps", "masks-png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(format_name, tmp_path):
    for name in ("../x.jpg", "/etc/x.jpg"):
        row = annotated_image(1, name, FOUND[2][2], maps=True)
        with pytest.raises(ConfigError, match="leads out of the annotated folder"):
            write(format_name, tmp_path / "out", [row])


def test_an_error_while_writing_leaves_nothing(format_name, tmp_path):
    def broken() -> Iterator[AnnotatedImage]:
        yield ROWS[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left") as raised:
        FORMATS[format_name]().write(broken(), ABOUT, tmp_path)
    assert raised.value.errno == 28
    assert list(tmp_path.iterdir()) == []


def test_file_names_do_not_collide():
    names = [f.path for f in FORMATS.values()]
    assert len(set(names)) == len(names)


def test_coco_loads_with_the_reference_tools(tmp_path, capsys):
    path = write("coco", tmp_path)
    coco = COCO(str(path))
    assert sorted(coco.imgs) == [1, 3, 4]
    assert coco.imgs[3]["file_name"] == ROWS[1].file_name
    assert coco.imgs[3] == {"id": 3, "file_name": ROWS[1].file_name, "width": 64, "height": 48}
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert sorted(coco.anns) == [1, 2, 3]
    assert coco.anns[1]["bbox"] == [0, 0, 64, 48]
    assert coco.anns[1]["area"] == 64 * 48
    assert coco.anns[1]["category_id"] == 3
    assert {a["iscrowd"] for a in coco.anns.values()} == {0}
    results = coco.loadRes(coco.dataset["annotations"])
    assert len(results.anns) == 3


def test_coco_scores_and_corners_round_trip(tmp_path):
    document = json.loads(write("coco", tmp_path).read_text("utf-8"))
    found = document["annotations"][2]
    assert np.float32(found["score"]) == ROWS[2].detections.scores[0]
    x, y, w, h = found["bbox"]
    corners = np.asarray([x, y, x + w, y + h], np.float32)
    np.testing.assert_array_equal(corners, ROWS[2].detections.boxes_xyxy[0])


def test_parquet_has_a_row_per_box_and_one_for_an_image_without(tmp_path):
    rows = pq.read_table(write("parquet", tmp_path)).to_pylist()
    assert [r["image_id"] for r in rows] == [1, 1, 3, 4]
    assert {r["image_id"] for r in rows} == {row.image_id for row in ROWS}
    empty = rows[2]
    assert empty["file_name"] == ROWS[1].file_name
    assert {empty[k] for k in ("class", "label", "score", "x0", "y0", "x1", "y1")} == {None}
    assert (rows[3]["class"], rows[3]["label"]) == (CLASSES[1], 1)
    box = np.asarray([rows[3][k] for k in ("x0", "y0", "x1", "y1")], np.float32)
    np.testing.assert_array_equal(box, ROWS[2].detections.boxes_xyxy[0])


def test_parquet_is_written_in_several_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_module, "IMAGES_PER_ROW_GROUP", 2)
    file = pq.ParquetFile(write("parquet", tmp_path))
    assert file.num_row_groups == 2
    assert file.metadata.num_rows == 4


def test_coco_annotations_are_drawn_and_have_the_mask_of_their_box(tmp_path):
    coco = COCO(str(write("coco", tmp_path)))
    figure, axes = plt.subplots()
    plt.sca(axes)
    coco.showAnns(coco.loadAnns([1, 2, 3]), draw_bbox=True)
    outlines = [polygon for kind in axes.collections for polygon in kind.get_paths()]
    plt.close(figure)
    assert len(outlines) >= 3
    # (1.5, 2) to (3, 4.25) and (0, 0) to (64, 48): as many pixels as the whole ones have area
    assert coco.anns[2]["segmentation"] == [[1.5, 2, 3, 2, 3, 4.25, 1.5, 4.25]]
    assert mask.area(coco.annToRLE(coco.anns[1])) == 64 * 48
    for annotation in coco.anns.values():
        xs, ys = annotation["segmentation"][0][::2], annotation["segmentation"][0][1::2]
        x, y, w, h = annotation["bbox"]
        assert (min(xs), min(ys)) == (x, y)
        assert (max(xs) - min(xs), max(ys) - min(ys)) == (w, h)
