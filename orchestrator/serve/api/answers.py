"""Answers of models as JSON: boxes and points to the last digit, maps in 16 bits."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.serve.api.host import Answer
from orchestrator.serve.api.options import DetectOptions
from orchestrator.serve.api.shapes import ClassMaps, Detection, Found, Maps, Present, Scale
from workloads.localization.candidates import Candidates

_STEPS = 65535


def found_of(answer: Answer, classes: Sequence[str], options: DetectOptions) -> Found:
    """The answer about one image, with the parts that were asked for.

    Args:
        classes: names of all classes of the model.
    """
    boxes, present = answer.detections, _present(answer.present, classes, options)
    by_label = {one.label: one for one in present}
    # float32 to float is exact, and JSON keeps every digit of a float: as in the exports.
    rows = zip(boxes.labels.tolist(), boxes.scores.tolist(), boxes.boxes_xyxy.tolist(), strict=True)
    return Found(
        model=answer.model,
        width=boxes.width,
        height=boxes.height,
        orientation=answer.orientation,
        detections=[
            Detection(
                **_named(label, classes),
                score=score,
                class_score=by_label[label].score,
                box=tuple(box) if "boxes" in options.returned else None,
                point=by_label[label].point,
            )
            for label, score, box in rows
        ],
        classes=present,
        maps=_maps(answer, answer.candidates, classes, options) if answer.candidates else None,
        overlay=_data_uri(answer.overlay) if answer.overlay else None,
        timings_ms={},
    )


def unasked(options: DetectOptions) -> dict[str, Any]:
    """Fields to leave out of a `Found`, as pydantic takes them."""
    point = set() if "points" in options.returned else {"point"}
    box = set() if "boxes" in options.returned else {"box"}
    return {
        "detections": {"__all__": point | box},
        "classes": {"__all__": point},
        "maps": {"classes": {"__all__": point}},
    }


def _named(label: int, classes: Sequence[str]) -> dict[str, Any]:
    return {"label": label, "class": classes[label]}


def _rows(found: Candidates) -> list[tuple[int, float, tuple[float, float]]]:
    columns = (found.labels.tolist(), found.scores.tolist(), found.points_xy.tolist())
    return [(label, score, (x, y)) for label, score, (x, y) in zip(*columns, strict=True)]


def _present(found: Candidates, classes: Sequence[str], options: DetectOptions) -> list[Present]:
    points = "points" in options.returned
    return [
        Present(**_named(label, classes), score=score, point=point if points else None)
        for label, score, point in _rows(found)
    ]


def _maps(
    answer: Answer, found: Candidates, classes: Sequence[str], options: DetectOptions
) -> Maps:
    least = answer.cutoffs.score_threshold if options.min_score is None else options.min_score
    return Maps(
        cutoffs=answer.cutoffs,
        min_score=least,
        classes=[
            ClassMaps(
                **_named(label, classes),
                score=score,
                point=point,
                scales=[quantized(values) for values in maps],
            )
            for (label, score, point), maps in zip(_rows(found), found.maps or (), strict=True)
        ],
    )


def quantized(values: NDArray[np.float32]) -> Scale:
    """An (h, w) map in 16 bits; a value is off by at most half a step of its range."""
    low, high = float(values.min()), float(values.max())
    span = high - low
    shares = (values.astype(np.float64) - low) / span if span > 0 else np.zeros(values.shape)
    data = np.rint(shares * _STEPS).astype("<u2").tobytes()
    height, width = values.shape
    text = base64.b64encode(data).decode()
    return Scale(height=height, width=width, low=low, high=high, values=text)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
