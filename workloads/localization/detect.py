"""From class scores and maps to boxes: the one function behind evaluation, annotation, serving."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.detections import Detections
from workloads.localization.boxes import HeatBoxes
from workloads.localization.class_boxes import boxes_of_class, maps_to_cut
from workloads.localization.cooccurrence import rescore
from workloads.localization.cutoffs import Cutoffs

MapsOf = Callable[[int], tuple[NDArray[np.float32], ...]]
BoxesOf = Callable[[int], HeatBoxes]


def detect(
    scores: NDArray[np.float32],
    maps_of: MapsOf,
    width: int,
    height: int,
    cutoffs: Cutoffs,
    cooccurrence: NDArray[np.float64],
    regions_xyxy: NDArray[np.float32] | None = None,
) -> Detections:
    """Boxes of all classes whose rescored score reaches the threshold, best first.

    Args:
        scores: (K,) float32 class scores as the network gives them.
        maps_of: class index to its raw (h, w) maps over the whole upright image, one for each
            scale; asked only for the classes that reach the threshold.
        width, height: size of the upright image in pixels.
        cooccurrence: (K, K) p(i | j); not looked at if `cutoffs.alpha` is 0.
        regions_xyxy: (R, 4) boxes of an object proposal algorithm in the image, whole pixels;
            only box rule "regions" looks at them.

    Raises:
        ValueError: the co-occurrence has the wrong shape.
        NotFound: box rule "regions" and no regions.
    """
    return locate(
        rescore(scores, cooccurrence, cutoffs.alpha),
        lambda label: boxes_of_maps(maps_of(label), width, height, cutoffs, label, regions_xyxy),
        width,
        height,
        cutoffs,
    )


def boxes_of_maps(
    raws: Sequence[NDArray[np.float32]],
    width: int,
    height: int,
    cutoffs: Cutoffs,
    label: int,
    regions_xyxy: NDArray[np.float32] | None = None,
) -> HeatBoxes:
    """`boxes_of_class` from the raw (h, w) maps of a class, one for each scale."""
    maps = maps_to_cut(raws, width, height, cutoffs)
    return boxes_of_class(maps, width, height, cutoffs, label, regions_xyxy)


def classes_reached(rescored: NDArray[np.float32], cutoffs: Cutoffs) -> list[int]:
    """Class indices whose rescored score reaches the threshold, ascending."""
    return np.flatnonzero(rescored >= np.float32(cutoffs.score_threshold)).tolist()


def locate(
    rescored: NDArray[np.float32],
    boxes_of: BoxesOf,
    width: int,
    height: int,
    cutoffs: Cutoffs,
    candidates: Iterable[int] | None = None,
) -> Detections:
    """The second half of `detect`, for callers that hold rescored scores and boxes already.

    A detection's score is the rescored class score. With box rule "all" it is multiplied by the
    component's maximal heat, so the hottest component keeps the class score; with box score
    "mean" by the mean heat inside the box, whatever the rule. With a raw box score the heat
    itself is the score (`Cutoffs.box_score`). Ties go to the lower class index,
    then to the scale that comes first, then to the component that comes first in raster order. A
    map without foreground (a constant one, say) gives no box.

    Args:
        rescored: (K,) float32 scores after co-occurrence.
        boxes_of: class index to its boxes as `boxes_of_class` gives them.
        candidates: classes that may get boxes; None for all.
    """
    parts = []
    allowed = None if candidates is None else {int(k) for k in candidates}
    for label in classes_reached(rescored, cutoffs):
        if allowed is not None and label not in allowed:
            continue
        found = boxes_of(label)
        if cutoffs.box_rule == "largest":
            found = found.largest()
        scores = np.full_like(found.heat, 1 if cutoffs.scores_are_heat else rescored[label])
        if cutoffs.weighs_heat:
            scores = scores * found.heat
        parts.append((found.boxes_xyxy, scores, np.full(len(scores), label)))
    if not parts:
        return _detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0), width, height)
    boxes, scores, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    # The parts come by class and raster order, and the sort is stable: that settles ties.
    best_first = np.argsort(-scores, kind="stable")
    return _detections(boxes[best_first], scores[best_first], labels[best_first], width, height)


def _detections(
    boxes: NDArray, scores: NDArray, labels: NDArray, width: int, height: int
) -> Detections:
    return Detections(
        boxes_xyxy=boxes.astype(np.float32),
        scores=scores.astype(np.float32),
        labels=labels.astype(np.int32),
        width=width,
        height=height,
    )
