"""One image of a review, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.pages.review.pictures import heat_uri
from workloads.annotation.found import FoundImage
from workloads.annotation.order import Look, difference_of, doubt_of
from workloads.detections import Detections
from workloads.localization.candidates import Candidates
from workloads.localization.cutoffs import Cutoffs


def thumbnail_name(image_id: int) -> str:
    """The file of an image's thumbnail, in the folder of the review."""
    return f"thumbs/{image_id}.jpg"


def entry_of(look: Look, cutoffs: Cutoffs, classes: Sequence[str]) -> dict[str, Any]:
    """An image with its boxes, candidate classes and, if they were kept, their heat maps.

    Numbers are those of the store, as JSON writes them; boxes in pixels of the upright image.

    Args:
        classes: names of all labels, those of the other store's boxes too.
    """
    found = look.found
    boxes = found.candidates.detections
    return {
        "id": found.image_id,
        "file": found.file_name,
        "size": [boxes.width, boxes.height],
        "thumb": thumbnail_name(found.image_id),
        "doubt": round(doubt_of(look), 3),
        "boxes": _boxes(look.boxes, classes),
        "classes": _classes(found, cutoffs, classes),
        "other": None if look.other is None else _boxes(look.other, classes),
        "apart": None if look.other is None else round(difference_of(look), 3),
    }


def _boxes(found: Detections, classes: Sequence[str]) -> list[dict[str, Any]]:
    columns = (found.labels.tolist(), found.boxes_xyxy.tolist(), found.scores.tolist())
    return [
        {"label": classes[label], "box": box, "score": score}
        for label, box, score in zip(*columns, strict=True)
    ]


def _classes(found: FoundImage, cutoffs: Cutoffs, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Candidate classes, best first."""
    candidates = found.candidates
    scores, points = candidates.scores.tolist(), candidates.points_xy.tolist()
    return [
        {
            "label": classes[candidates.labels[i]],
            "score": scores[i],
            "point": points[i],
            "heat": _heat(candidates, i, cutoffs),
        }
        for i in sorted(range(len(scores)), key=lambda i: -scores[i])
    ]


def _heat(candidates: Candidates, index: int, cutoffs: Cutoffs) -> str | None:
    return None if candidates.maps is None else heat_uri(candidates.maps[index][0], cutoffs)
