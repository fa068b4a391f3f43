"""Pseudo boxes: an annotation in the layouts that trainers of detectors read.

annotations.coco.json    COCO
yolo/                    labels and data.yaml
teach.json               the rule by which boxes were trusted, and counts
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from workloads.annotation.selection import Selection
from workloads.annotation.store import AnnotationStore
from workloads.artifacts import write_json
from workloads.errors import NotFound
from workloads.formats.base import About, AnnotatedImage
from workloads.formats.registry import FORMATS

LAYOUTS = ("coco", "yolo")
FACTS_FILE = "teach.json"


@dataclass(frozen=True, slots=True)
class Lesson:
    """Boxes that a detector may learn from.

    Attributes:
        rule: by which they were chosen, in words.
        left_out: images without any such box; objects may be in them, so they teach nothing.
    """

    rule: str
    min_score: float
    model: str
    images: int
    left_out: int
    boxes: int


def write_lesson(store: AnnotationStore, folder: Path, min_score: float) -> Lesson:
    """Write the boxes of classes that the model is sure of, whole or not at all.

    Args:
        folder: where to; what was there is replaced.
        min_score: class score from which it is sure.

    Raises:
        NotFound: it is sure of nothing; nothing is written.
        IntegrityError, OSError: as the store and the formats.
    """
    selection = Selection.of(store.cutoffs, store.classes, min_score=min_score)
    shown = boxes = 0

    def taught(count: bool) -> Iterator[AnnotatedImage]:
        nonlocal shown, boxes
        for image in store.images(selection, maps=False):
            if len(image.detections):
                shown, boxes = shown + count, boxes + count * len(image.detections)
                yield image

    if next(taught(count=False), None) is None:
        raise NotFound(
            f"{store.folder}: no class of any image has a score of {min_score:g}, so there is "
            "nothing to teach; lower annotate.teach_score"
        )
    about = About(tuple(store.classes), model=store.model_name)
    for name in LAYOUTS:
        FORMATS[name]().write(taught(count=name == LAYOUTS[0]), about, folder)
    read = sum(1 for _ in store.found(maps=False))
    lesson = Lesson(
        rule=f"every box of classes with a score of at least {min_score:g}; images without any "
        "are left out",
        min_score=min_score,
        model=store.model_name,
        images=shown,
        left_out=read - shown,
        boxes=boxes,
    )
    write_json(folder / FACTS_FILE, asdict(lesson))
    return lesson
