"""The boxes that a class would get at every cut-off, for the search on stored maps.

# H W map size, T cut-offs, M boxes at all cut-offs together, R regions
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import HeatBoxes
from workloads.localization.class_boxes import (
    CutMap,
    Map01,
    boxes_at_level,
    boxes_of_class,
    heat_of,
    in_image,
    known_regions,
    needs_pixels,
    worth_keeping,
)
from workloads.localization.component_tree import Sweep, all_components, quantize, sweep
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.nms import suppress
from workloads.localization.regions import best_regions


class BoxesPerCutoff(NamedTuple):
    """Boxes at T cut-offs.

    Attributes:
        levels: (M,) index of each box's cut-off, ascending.
        found: the M boxes; those of one cut-off in the order of `boxes_of_class`.
        thresholds: T.
    """

    levels: NDArray[np.int64]
    found: HeatBoxes
    thresholds: int

    def take(self, kept: NDArray[np.integer] | NDArray[np.bool_]) -> BoxesPerCutoff:
        """Boxes at the given positions, or where a mask is true."""
        return BoxesPerCutoff(self.levels[kept], self.found.take(kept), self.thresholds)

    def largest(self) -> BoxesPerCutoff:
        """The box with the most pixels at each cut-off, of equals the first."""
        order = np.lexsort((-self.found.areas, self.levels))
        return self.take(order[np.unique(self.levels[order], return_index=True)[1]])

    def by_heat(self) -> BoxesPerCutoff:
        """Boxes ordered by cut-off, then hottest first, equals in the order given."""
        return self.take(np.lexsort((-self.found.heat, self.levels)))

    def one_each(self) -> NDArray[np.float32]:
        """(T, 4) the largest box of each cut-off; zeros where there is none."""
        boxes, largest = np.zeros((self.thresholds, 4), np.float32), self.largest()
        boxes[largest.levels] = largest.found.boxes_xyxy
        return boxes


def boxes_per_cutoff(
    maps: Sequence[CutMap],
    width: int,
    height: int,
    levels: NDArray[np.float32],
    cutoffs: Cutoffs,
    label: int,
    regions_xyxy: NDArray[np.float32] | None = None,
    swept: Sweep | None = None,
) -> BoxesPerCutoff:
    """Boxes of `boxes_of_class` at each of (T,) cut-offs, in pixels of the image.

    With box rule "largest" only the largest box of each. With threshold "mean" all are the same.

    Args:
        maps, width, height, cutoffs, label, regions_xyxy: as of `boxes_of_class`.
        levels: (T,) cut-offs, strictly ascending.
        swept: sweep of the first map at these levels, if it is known already.

    Raises:
        NotFound: as `boxes_of_class`.
    """
    if cutoffs.threshold == "mean":
        found = boxes_of_class(maps, width, height, cutoffs, label, regions_xyxy)
        joined = _at_every_cutoff(found, len(levels))
    else:
        parts = []
        for cut_map in maps:
            part = _of_map(cut_map, levels, cutoffs, regions_xyxy, swept)
            swept = None  # that was the first map's
            boxes = in_image(part.found.boxes_xyxy, cut_map.map01, width, height)
            parts.append(part._replace(found=part.found._replace(boxes_xyxy=boxes)))
        joined = _thinned(_joined(parts), cutoffs)
    return joined.largest() if cutoffs.box_rule == "largest" else joined


def _at_every_cutoff(found: HeatBoxes, count: int) -> BoxesPerCutoff:
    each = np.tile(np.arange(len(found.heat)), count)
    return BoxesPerCutoff(np.repeat(np.arange(count), len(found.heat)), found.take(each), count)


def _joined(parts: Sequence[BoxesPerCutoff]) -> BoxesPerCutoff:
    """The boxes of all scales, those of one cut-off side by side."""
    together = HeatBoxes.joined([part.found for part in parts])
    levels = np.concatenate([part.levels for part in parts])
    every = BoxesPerCutoff(levels, together, parts[0].thresholds)
    return every.take(np.argsort(levels, kind="stable"))


def _thinned(boxes: BoxesPerCutoff, cutoffs: Cutoffs) -> BoxesPerCutoff:
    """Without what is suppressed at its cut-off, then without what is too small or too cool."""
    if cutoffs.nms_iou is not None:
        starts = np.flatnonzero(np.diff(boxes.levels)) + 1
        of_cutoffs = np.split(np.arange(len(boxes.levels)), starts)
        kept = [suppress(boxes.found.take(some), cutoffs.nms_iou) for some in of_cutoffs]
        boxes = boxes.take(np.concatenate(kept))
    return boxes.take(worth_keeping(boxes.found, cutoffs))


def _of_map(
    cut_map: CutMap,
    levels: NDArray[np.float32],
    cutoffs: Cutoffs,
    regions_xyxy: NDArray[np.float32] | None,
    swept: Sweep | None,
) -> BoxesPerCutoff:
    """As `class_boxes` has them at one cut-off, pixels of the map."""
    map01 = cut_map.map01
    if needs_pixels(cutoffs) or cutoffs.box_score == "raw_component":
        return _one_by_one(cut_map, levels, cutoffs, regions_xyxy)
    if cutoffs.box_rule == "regions":
        boxes = _regions(map01, levels, known_regions(regions_xyxy))
    elif cutoffs.box_rule == "tight":
        boxes = _tight(map01, levels)
    elif cutoffs.box_rule == "largest" and not cutoffs.thins_out:
        boxes = _largest(swept or sweep(map01, levels))
    else:
        boxes = _components(map01, levels)
    heat = heat_of(boxes.found, cut_map, cutoffs)
    return boxes._replace(found=boxes.found._replace(heat=heat))


def _one_by_one(
    cut_map: CutMap,
    levels: NDArray[np.float32],
    cutoffs: Cutoffs,
    regions_xyxy: NDArray[np.float32] | None,
) -> BoxesPerCutoff:
    """Boxes where the pixels of components count: a labelling for each cut-off that changes any."""
    exceeded = np.bincount(quantize(cut_map.map01, levels).ravel(), minlength=len(levels) + 1)
    known, parts = HeatBoxes.none(), []
    for k, level in enumerate(levels):
        # The foreground at k is that at k - 1 without the pixels that exceed k cut-offs alone.
        if k == 0 or exceeded[k] or cutoffs.box_rule == "regions":
            known = boxes_at_level(cut_map, level, cutoffs, regions_xyxy)
        parts.append(known)
    found_at = np.repeat(np.arange(len(levels)), [len(part.heat) for part in parts])
    return BoxesPerCutoff(found_at, HeatBoxes.joined(parts), len(levels))


def _components(map01: Map01, levels: NDArray[np.float32]) -> BoxesPerCutoff:
    of_level, boxes, heat, areas = all_components(map01, levels)
    return BoxesPerCutoff(of_level, HeatBoxes(boxes.astype(np.float32), heat, areas), len(levels))


def _largest(swept: Sweep) -> BoxesPerCutoff:
    """Largest box at each cut-off. One box alone needs no order, so its heat is 1."""
    areas = swept.largest_area.astype(np.int64)
    boxes = swept.largest_xyxy.astype(np.float32)
    return _where_any(boxes, np.ones(len(areas), np.float32), areas)


def _tight(map01: Map01, levels: NDArray[np.float32]) -> BoxesPerCutoff:
    exceeded = quantize(map01, levels)
    x0, x1 = _span(exceeded.max(axis=0), len(levels))
    y0, y1 = _span(exceeded.max(axis=1), len(levels))
    boxes = np.stack([x0, y0, x1, y1], axis=1).astype(np.float32)
    heat = np.full(len(levels), map01.max(), np.float32)
    return _where_any(boxes, heat, _pixels_above(exceeded, len(levels)))


def _regions(
    map01: Map01, levels: NDArray[np.float32], regions_xyxy: NDArray[np.float32]
) -> BoxesPerCutoff:
    exceeded = quantize(map01, levels)
    boxes = best_regions(map01, regions_xyxy, levels)
    areas, heat = np.zeros(len(levels), np.int64), np.zeros(len(levels), np.float32)
    # A region is the best one for a range of cut-offs, so there are few.
    distinct, which = np.unique(boxes, axis=0, return_inverse=True)
    for index, (x0, y0, x1, y1) in enumerate(distinct.astype(np.int64)):
        own = which == index
        areas[own] = _pixels_above(exceeded[y0:y1, x0:x1], len(levels))[own]
        heat[own] = map01[y0:y1, x0:x1].max(initial=0)
    return _where_any(boxes, heat, areas)


def _where_any(
    boxes: NDArray[np.float32], heat: NDArray[np.float32], areas: NDArray[np.int64]
) -> BoxesPerCutoff:
    """One box for each cut-off at which anything is foreground."""
    every = BoxesPerCutoff(np.arange(len(areas)), HeatBoxes(boxes, heat, areas), len(areas))
    return every.take(areas > 0)


def _span(exceeded: NDArray[np.int32], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(T,) first and (T,) one past the last position that is above each of `count` cut-offs."""
    above = exceeded > np.arange(count)[:, None]
    return above.argmax(axis=1), len(exceeded) - above[:, ::-1].argmax(axis=1)


def _pixels_above(exceeded: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """(T,) how many pixels are above each of `count` cut-offs."""
    held = np.bincount(exceeded.ravel(), minlength=count + 1)
    above: NDArray[np.int64] = held[::-1].cumsum()[::-1][1:]
    return above
