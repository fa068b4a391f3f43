"""Pseudo boxes: what a model is sure of, and nothing of images where it is sure of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_candidates import found_image, made_detections
from pycocotools.coco import COCO

from workloads.annotation.listing import ListedFile
from workloads.annotation.parts import ChunkResult
from workloads.annotation.store import AnnotationStore
from workloads.annotation.teach import write_lesson
from workloads.artifacts import read_json
from workloads.errors import NotFound

REQUEST = {
    "chunk_images": 8,
    "classes": ["cat", "dog"],
    "model": {"method": "any", "backbone": "net", "digest": "0" * 64},
    "cutoffs": {"score_threshold": 0.1},
    "kept": {"min_score": 0.1, "classes_per_image": 5, "maps": False},
}
FOUND = [
    made_detections([[0, 0, 32, 24]], [0.95], [1]),
    made_detections([[0, 0, 9, 9]], [0.5], [0]),
    made_detections([[0, 0, 9, 9], [5, 5, 30, 30]], [0.9, 0.3], [0, 1]),
]


@pytest.fixture
def store(tmp_path: Path) -> AnnotationStore:
    names = [f"{n}.jpg" for n in range(3)]
    files = (ListedFile(name, 1, 0) for name in names)
    store = AnnotationStore.begin(tmp_path / "boxes", REQUEST, files)
    images = [found_image(n + 1, names[n], found) for n, found in enumerate(FOUND)]
    store.write(0, ChunkResult(tuple(images), ()))
    return store


def test_boxes_of_classes_that_it_is_sure_of(store: AnnotationStore, tmp_path: Path) -> None:
    lesson = write_lesson(store, tmp_path / "teach", 0.8)
    assert (lesson.images, lesson.left_out, lesson.boxes) == (2, 1, 2)
    assert "at least 0.8" in lesson.rule
    assert read_json(tmp_path / "teach/teach.json")["rule"] == lesson.rule
    coco = COCO(str(tmp_path / "teach/annotations.coco.json"))
    boxes = {a["image_id"]: (a["category_id"], a["bbox"]) for a in coco.anns.values()}
    assert boxes == {1: (2, [0, 0, 32, 24]), 3: (1, [0, 0, 9, 9])}
    assert sorted(coco.imgs) == [1, 3]
    labels = tmp_path / "teach/yolo/labels"
    assert sorted(path.name for path in labels.iterdir()) == ["0.txt", "2.txt"]
    assert (labels / "0.txt").read_text().split() == [
        "1",
        *map("{:.8f}".format, [0.25] * 2 + [0.5] * 2),
    ]


def test_where_it_is_sure_of_nothing_nothing_is_written(
    store: AnnotationStore, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match=r"no class of any image has a score of 0.99"):
        write_lesson(store, tmp_path / "teach", 0.99)
    assert not (tmp_path / "teach").exists()
