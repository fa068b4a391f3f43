"""The cases of every metric that is given the class: image-class pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.records import GroundTruth


class Pairs(NamedTuple):
    """The classes of one image on which a box or point can be judged.

    Attributes:
        boxes: class index to all its (G, 4) ground-truth boxes. A class is in here if it has at
            least one object that is not difficult; its difficult objects are found rightly too
            (as in VOC's pointing game), so they stand among the boxes.
        skipped: classes left out because all their objects are difficult, or have no boxes.
    """

    boxes: dict[int, NDArray[np.float32]]
    skipped: int


def given_pairs(truth: GroundTruth) -> Pairs:
    """The image-class pairs of one image."""
    boxes = {label: truth.boxes_of(label) for label in truth.labels}
    judged = {label: found for label, found in boxes.items() if len(found)}
    return Pairs(judged, len(truth.difficult_labels) + len(boxes) - len(judged))
