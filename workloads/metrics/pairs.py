"""The cases of every metric that is given the class: image-class pairs."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.records import GroundTruth

Blacklisted = Literal["skip", "count"]
DifficultOnly = Literal["skip", "count"]


class Pairs(NamedTuple):
    """The classes of one image on which a box or point can be judged.

    Attributes:
        boxes: class index to all its (G, 4) ground-truth boxes. A class is in here if it has at
            least one object that is not difficult; its difficult objects are found rightly too
            (as in VOC's pointing game), so they stand among the boxes.
        skipped: classes left out because all their objects are difficult or crowds, or have no
            boxes, or because the image is blacklisted.
    """

    boxes: dict[int, NDArray[np.float32]]
    skipped: int


def left_out(truth: GroundTruth, blacklisted: Blacklisted) -> bool:
    """Whether no box or point is judged on an image at all."""
    return truth.blacklisted and blacklisted == "skip"


def given_pairs(
    truth: GroundTruth,
    blacklisted: Blacklisted = "skip",
    difficult_only: DifficultOnly = "skip",
) -> Pairs:
    """The image-class pairs of one image.

    Args:
        difficult_only: "count" makes pairs of classes whose objects are all difficult, too.
    """
    every = sorted({*truth.labels, *truth.difficult_labels})
    if left_out(truth, blacklisted):
        return Pairs({}, len(every))
    labels = every if difficult_only == "count" else truth.labels
    boxes = {label: truth.boxes_of(label) for label in labels}
    judged = {label: found for label, found in boxes.items() if len(found)}
    return Pairs(judged, len(every) - len(judged))
