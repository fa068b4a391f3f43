"""The picture of an answer: boxes and heat over the image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.detections import Detections
from workloads.images.drawing import draw_boxes, fit, overlay
from workloads.localization.candidates import Candidates
from workloads.localization.maps import normalize, upsample

SIDE = 1024
"""Longer side of the picture, in pixels; about, for small images."""


def draw(
    picture: NDArray[np.uint8],
    detections: Detections,
    present: Candidates,
    classes: Sequence[str],
) -> bytes:
    """A PNG file of an image in grey under the hottest of the maps, with boxes and class names.

    Args:
        picture: (h, w, 3) uint8 RGB of the image, of any size.
        detections: in pixels of the image.
        present: classes whose maps are shown.
    """
    canvas = fit(picture, SIDE)
    height, width = canvas.shape[:2]
    maps = [normalize(upsample(raw[0], width, height)) for raw in present.maps or ()]
    if maps:
        canvas = overlay(canvas, np.maximum.reduce(maps))
    scale = np.array([width / detections.width, height / detections.height] * 2, np.float32)
    names = [
        f"{classes[label]} {score:.2f}"
        for label, score in zip(detections.labels, detections.scores, strict=True)
    ]
    drawn = draw_boxes(canvas, detections.boxes_xyxy * scale, names)
    done, data = cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    assert done, "a picture that was drawn can be written"
    return data.tobytes()
