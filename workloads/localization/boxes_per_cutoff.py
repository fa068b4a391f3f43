"""The one box that a class would get at every cut-off, for the search on stored maps.

# H W map size, T cut-offs, S scales, R regions
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.localization.class_boxes import (
    Map01,
    boxes_of_class,
    in_image,
    known_regions,
    large_enough,
)
from workloads.localization.component_tree import Sweep, quantize, sweep
from workloads.localization.regions import best_regions
from workloads.model_card import Cutoffs

# Of each cut-off a box, zeros where there is none, and its foreground pixels.
_PerCutoff = tuple[NDArray[np.float32], NDArray[np.integer]]


def boxes_per_cutoff(
    maps01: Sequence[Map01],
    width: int,
    height: int,
    levels: NDArray[np.float32],
    cutoffs: Cutoffs,
    label: int,
    regions_xyxy: NDArray[np.float32] | None = None,
    swept: Sweep | None = None,
) -> NDArray[np.float32]:
    """(T, 4) half-open boxes in pixels of the image; zeros where there is none.

    Each is what `boxes_of_class(...).largest()` gives at that cut-off, but for two things. Of
    each map only its largest component is looked at, so a smaller one does not take its place if
    it is under `min_box_px`; and nothing is suppressed. With threshold "mean" all are the same.

    Args:
        maps01, width, height, cutoffs, label, regions_xyxy: as of `boxes_of_class`.
        levels: (T,) cut-offs, strictly ascending.
        swept: sweep of the first map at these levels, if it is known already.

    Raises:
        NotFound: as `boxes_of_class`.
    """
    if cutoffs.threshold == "mean":
        found = boxes_of_class(maps01, width, height, cutoffs, label, regions_xyxy)
        same = np.zeros((len(levels), 4), np.float32)
        for box in found.largest().boxes_xyxy:
            same[:] = box
        return same
    parts = []
    for map01 in maps01:
        boxes, areas = _of_map(map01, levels, cutoffs, regions_xyxy, swept)
        swept = None  # that was the first map's
        boxes = in_image(boxes, map01, width, height)
        parts.append((boxes, areas * large_enough(boxes, cutoffs)))
    return _of_largest(parts)


def _of_map(
    map01: Map01,
    levels: NDArray[np.float32],
    cutoffs: Cutoffs,
    regions_xyxy: NDArray[np.float32] | None,
    swept: Sweep | None,
) -> _PerCutoff:
    if cutoffs.box_rule == "regions":
        return _region(map01, levels, known_regions(regions_xyxy))
    if cutoffs.box_rule == "tight":
        return _tight(map01, levels)
    found = swept or sweep(map01, levels)
    return found.largest_xyxy.astype(np.float32), found.largest_area


def _of_largest(parts: Sequence[_PerCutoff]) -> NDArray[np.float32]:
    """Of each cut-off the box with the most foreground, of equals that of the first scale."""
    boxes, areas = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    winner, every = areas.argmax(axis=0), np.arange(areas.shape[1])
    chosen: NDArray[np.float32] = boxes[winner, every]
    chosen[areas[winner, every] == 0] = 0
    return chosen


def _tight(map01: Map01, levels: NDArray[np.float32]) -> _PerCutoff:
    exceeded = quantize(map01, levels)
    x0, x1 = _span(exceeded.max(axis=0), len(levels))
    y0, y1 = _span(exceeded.max(axis=1), len(levels))
    areas = _pixels_above(exceeded, len(levels))
    boxes = np.stack([x0, y0, x1, y1], axis=1).astype(np.float32)
    boxes[areas == 0] = 0
    return boxes, areas


def _region(
    map01: Map01, levels: NDArray[np.float32], regions_xyxy: NDArray[np.float32]
) -> _PerCutoff:
    exceeded = quantize(map01, levels)
    boxes = best_regions(map01, regions_xyxy, levels)
    areas = np.zeros(len(levels), np.int64)
    # A region is the best one for a range of cut-offs, so there are few.
    distinct, which = np.unique(boxes, axis=0, return_inverse=True)
    for index, (x0, y0, x1, y1) in enumerate(distinct.astype(np.int64)):
        inside = exceeded[y0:y1, x0:x1]
        areas[which == index] = _pixels_above(inside, len(levels))[which == index]
    return boxes, areas


def _span(exceeded: NDArray[np.int32], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(T,) first and (T,) one past the last position that is above each of `count` cut-offs."""
    above = exceeded > np.arange(count)[:, None]
    return above.argmax(axis=1), len(exceeded) - above[:, ::-1].argmax(axis=1)


def _pixels_above(exceeded: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """(T,) how many pixels are above each of `count` cut-offs."""
    held = np.bincount(exceeded.ravel(), minlength=count + 1)
    above: NDArray[np.int64] = held[::-1].cumsum()[::-1][1:]
    return above
