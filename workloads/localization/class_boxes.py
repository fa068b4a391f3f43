"""From the maps of one class to its boxes, by the model's cut-offs: the one place for all verbs.

Each scale of the network is normalised and cut on its own; its boxes are brought to the frame of
the image and put behind those of the scales before it. Only then boxes are thinned out.

# H W size of the image, h w size of a map
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.errors import NotFound
from workloads.localization.boxes import HeatBoxes, boxes_at, tight_box
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.maps import normalize, upsample
from workloads.localization.nms import suppress
from workloads.localization.regions import best_region, heat_in_boxes

Map01 = NDArray[np.float32]


def boxes_of_class(
    maps01: Sequence[Map01],
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
        maps01: the map of each scale as `map_to_cut` gives it, the main one first.
        width, height: size of the upright image in pixels.
        regions_xyxy: (R, 4) of the image, whole pixels; box rule "regions" needs them.

    Raises:
        NotFound: there are no regions for box rule "regions".
    """
    parts = []
    for map01 in maps01:
        part = _boxes_of_map(map01, cutoffs, label, regions_xyxy)
        parts.append(part._replace(boxes_xyxy=in_image(part.boxes_xyxy, map01, width, height)))
    found = HeatBoxes.joined(parts)
    if cutoffs.nms_iou is not None:
        found = found.take(suppress(found, cutoffs.nms_iou))
    if cutoffs.min_box_px > 0:
        found = found.take(large_enough(found.boxes_xyxy, cutoffs))
    return found


def map_to_cut(raw: NDArray[np.float32], width: int, height: int, cutoffs: Cutoffs) -> Map01:
    """A raw (h, w) map in [0, 1], at the size at which it is cut: (H, W), or its own."""
    return normalize(upsample(raw, width, height) if cuts_in_image(cutoffs) else raw)


def cuts_in_image(cutoffs: Cutoffs) -> bool:
    """Whether maps are cut at the size of the image."""
    return cutoffs.upsample == "first" or cutoffs.box_rule == "regions"


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


def large_enough(boxes_xyxy: NDArray[np.number], cutoffs: Cutoffs) -> NDArray[np.bool_]:
    """(N,) whether both sides of a box reach the least length."""
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    enough: NDArray[np.bool_] = sides.min(axis=1) >= cutoffs.min_box_px
    return enough


def _boxes_of_map(
    map01: Map01, cutoffs: Cutoffs, label: int, regions_xyxy: NDArray[np.float32] | None
) -> HeatBoxes:
    level = level_of(map01, cutoffs, label)
    if cutoffs.box_rule == "regions":
        found = best_region(map01, known_regions(regions_xyxy), level)
    elif cutoffs.box_rule == "tight":
        found = tight_box(map01, level)
    else:
        found = boxes_at(map01, level)
    if cutoffs.box_score == "mean":
        sums, pixels = heat_in_boxes(map01, found.boxes_xyxy)
        found = found._replace(heat=(sums / pixels).astype(np.float32))
    return found


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
