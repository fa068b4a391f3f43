"""From the maps of one class to its boxes, by the model's cut-offs: the one place for all verbs.

Each scale of the network is normalised and cut on its own, unless they are to be one map; its
boxes are brought to the frame of the image and put behind those of the scales before it. Only
then boxes are thinned out.

# H W size of the image, h w size of a map
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.errors import NotFound
from workloads.localization.boxes import HeatBoxes, boxes_at, tight_box
from workloads.localization.cutoffs import Cutoffs, RelativeTo
from workloads.localization.maps import in_unit, normalize, upsample
from workloads.localization.nms import suppress
from workloads.localization.regions import best_region, heat_in_boxes

Map01 = NDArray[np.float32]


class CutMap(NamedTuple):
    """A map at the size at which it is cut.

    Attributes:
        map01: (H, W) in [0, 1], in the unit of the cut-offs.
        raw: (H, W) in the map's own unit.
    """

    map01: Map01
    raw: NDArray[np.float32]


def boxes_of_class(
    maps: Sequence[CutMap],
    width: int,
    height: int,
    cutoffs: Cutoffs,
    label: int,
    regions_xyxy: NDArray[np.float32] | None = None,
) -> HeatBoxes:
    """All boxes of a class that its maps support, pixels of the image.

    With box rules "largest" and "all" these are the boxes of all components; which of them is
    the largest is settled by whoever asks (`HeatBoxes.largest`, over all scales).

    Args:
        maps: as `maps_to_cut` gives them.
        width, height: size of the upright image in pixels.
        regions_xyxy: (R, 4) of the image, whole pixels; box rule "regions" needs them.

    Raises:
        NotFound: there are no regions for box rule "regions".
    """
    parts = []
    for cut_map in maps:
        level = level_of(cut_map.map01, cutoffs, label)
        part = boxes_at_level(cut_map, level, cutoffs, regions_xyxy)
        boxes = in_image(part.boxes_xyxy, cut_map.map01, width, height)
        parts.append(part._replace(boxes_xyxy=boxes))
    found = HeatBoxes.joined(parts)
    if cutoffs.nms_iou is not None:
        found = found.take(suppress(found, cutoffs.nms_iou))
    return found.take(worth_keeping(found, cutoffs))


def maps_to_cut(
    raws: Sequence[NDArray[np.float32]],
    width: int,
    height: int,
    cutoffs: Cutoffs,
    main: CutMap | None = None,
) -> list[CutMap]:
    """The maps of a class as they are cut: one for each scale, or one for all.

    Args:
        raws: (h, w) map of each scale, the main one first.
        main: the main one at the size at which it is cut, if it is known already.
    """
    others = raws[1:] if cutoffs.scales != "main" else ()
    first = main or map_to_cut(raws[0], width, height, cutoffs)
    maps = [first, *(map_to_cut(raw, width, height, cutoffs) for raw in others)]
    return [_mean_of(maps, cutoffs)] if cutoffs.scales == "mean" and others else maps


def map_to_cut(raw: NDArray[np.float32], width: int, height: int, cutoffs: Cutoffs) -> CutMap:
    """A raw (h, w) map, at the size at which it is cut: (H, W), or its own."""
    if cuts_in_image(cutoffs):
        raw = upsample(raw, width, height, align_corners=cutoffs.align_corners)
    return CutMap(in_unit(raw, unit_of(cutoffs)), raw)


def unit_of(cutoffs: Cutoffs) -> RelativeTo:
    """The unit in which maps are cut; the mean of a map needs none of its own."""
    return cutoffs.relative_to if cutoffs.threshold == "fixed" else "range"


def cuts_in_image(cutoffs: Cutoffs) -> bool:
    """Whether maps are cut at the size of the image."""
    return cutoffs.upsample == "first" or cutoffs.box_rule == "regions"


def _mean_of(maps: Sequence[CutMap], cutoffs: Cutoffs) -> CutMap:
    """The mean of the maps of all scales at the size of the first."""
    height, width = maps[0].raw.shape
    aligned = cutoffs.align_corners

    def mean(of: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        sized = [upsample(one, width, height, align_corners=aligned) for one in of]
        return np.asarray(np.mean(sized, axis=0), dtype=np.float32)

    map01 = mean([one.map01 for one in maps])
    if unit_of(cutoffs) == "range":
        map01 = normalize(map01)
    return CutMap(map01, mean([one.raw for one in maps]))


def level_of(map01: Map01, cutoffs: Cutoffs, label: int) -> np.float32:
    """Level of a map strictly above which pixels are foreground.

    For threshold "mean" that is the largest float32 below the mean, so that pixels at the mean
    are foreground, and 0 for a constant map, which has none.
    """
    if cutoffs.threshold == "fixed":
        return np.float32(cutoffs.cutoff_of(label))
    mean = np.float32(map01.mean(dtype=np.float64))
    return max(np.nextafter(mean, np.float32(-1)), np.float32(0))


def in_image(
    boxes_xyxy: NDArray[np.float32], map01: Map01, width: int, height: int
) -> NDArray[np.float32]:
    """(N, 4) boxes in pixels of a map to pixels of the image that it covers."""
    h, w = map01.shape
    if (h, w) == (height, width):
        return boxes_xyxy
    # Multiplied before divided: the far edges of the map are exactly those of the image.
    sides, own = np.array([width, height] * 2), np.array([w, h] * 2)
    scaled: NDArray[np.float64] = boxes_xyxy.astype(np.float64) * sides / own
    return scaled.astype(np.float32)


def worth_keeping(found: HeatBoxes, cutoffs: Cutoffs) -> NDArray[np.bool_]:
    """(N,) whether both sides of a box reach the least length, and its heat is high enough."""
    sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    enough: NDArray[np.bool_] = sides.min(axis=1) >= cutoffs.min_box_px
    return enough if cutoffs.heat_above is None else enough & (found.heat > cutoffs.heat_above)


def boxes_at_level(
    cut_map: CutMap,
    level: np.float32,
    cutoffs: Cutoffs,
    regions_xyxy: NDArray[np.float32] | None,
) -> HeatBoxes:
    """Boxes of one map whose foreground is strictly above a level, pixels of the map."""
    map01 = cut_map.map01
    if cutoffs.box_rule == "regions":
        found = best_region(map01, known_regions(regions_xyxy), level)
    elif cutoffs.box_rule == "tight":
        found = tight_box(map01, level)
    elif needs_pixels(cutoffs):
        return boxes_of_pixels(map01 > level, cut_map.raw, map01, cutoffs)
    else:
        found = boxes_at(map01, level)
    if cutoffs.box_score == "raw_component":
        return found._replace(heat=_mean_of_foreground(found.boxes_xyxy, cut_map, level))
    return found._replace(heat=heat_of(found, cut_map, cutoffs))


def needs_pixels(cutoffs: Cutoffs) -> bool:
    """Whether the pixels of each component have to be known, and not its box alone."""
    of_components = cutoffs.box_rule in ("largest", "all")
    return of_components and (cutoffs.connectivity == 4 or cutoffs.box_score == "raw_component")


def heat_of(found: HeatBoxes, cut_map: CutMap, cutoffs: Cutoffs) -> NDArray[np.float32]:
    """(N,) the heat of boxes in pixels of the map, where boxes alone decide it."""
    if cutoffs.box_score == "peak":
        return found.heat
    heat = cut_map.map01 if cutoffs.box_score == "mean" else cut_map.raw
    sums, pixels = heat_in_boxes(heat, found.boxes_xyxy)
    return np.asarray(sums / pixels, dtype=np.float32)


def boxes_of_pixels(
    foreground: NDArray[np.bool_], raw: NDArray[np.float32], map01: Map01, cutoffs: Cutoffs
) -> HeatBoxes:
    """Boxes of components by their pixels, in raster order of their first ones."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        foreground.astype(np.uint8), connectivity=cutoffs.connectivity, ltype=cv2.CV_32S
    )
    pixels = np.flatnonzero(labels)
    of_pixel = labels.ravel()[pixels]
    # OpenCV does not promise an order.
    order = np.unique(of_pixel, return_index=True)[1].argsort() + 1
    left, top, width, height, areas = stats[order].astype(np.int64).T
    boxes = np.stack([left, top, left + width, top + height], axis=1).astype(np.float32)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, of_pixel, map01.ravel()[pixels])
    found = HeatBoxes(boxes, peaks[order], areas)
    if cutoffs.box_score != "raw_component":
        return found._replace(heat=heat_of(found, CutMap(map01, raw), cutoffs))
    sums = np.bincount(of_pixel, raw.ravel()[pixels].astype(np.float64), count)[order]
    return found._replace(heat=np.asarray(sums / areas, dtype=np.float32))


def _mean_of_foreground(
    boxes_xyxy: NDArray[np.float32], cut_map: CutMap, level: np.float32
) -> NDArray[np.float32]:
    """(N,) mean of the raw map over the foreground inside each box, of which there is some."""
    inside = cut_map.map01 > level
    sums, _ = heat_in_boxes(np.where(inside, cut_map.raw, np.float32(0)), boxes_xyxy)
    pixels, _ = heat_in_boxes(inside.astype(np.float32), boxes_xyxy)
    return np.asarray(sums / pixels, dtype=np.float32)


def known_regions(regions_xyxy: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """The regions of an image.

    Raises:
        NotFound: there are none.
    """
    if regions_xyxy is None:
        raise NotFound(
            "box rule 'regions' needs the object proposals of the image and none are stored; "
            "store its predictions again with this model, or choose another box rule"
        )
    return regions_xyxy
