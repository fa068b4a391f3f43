"""Boxes of one threshold of a map, and how boxes overlap.

# N M G boxes, H W map size
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

ComponentRule = Literal["largest", "all"]
BoxWidths = Literal["half_open", "plus_one"]


class HeatBoxes(NamedTuple):
    """Boxes of the foreground of a map.

    Attributes:
        boxes_xyxy: (N, 4) float32 half-open, pixels of the map, in raster order of the
            components' first pixels.
        heat: (N,) float32 maximal heat inside each component; the mean heat inside its box where
            that was asked for (`Cutoffs.box_score`).
        areas: (N,) int64 pixels of each component.
    """

    boxes_xyxy: NDArray[np.float32]
    heat: NDArray[np.float32]
    areas: NDArray[np.int64]

    @classmethod
    def none(cls) -> Self:
        """No boxes at all."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    @classmethod
    def joined(cls, parts: Sequence[HeatBoxes]) -> Self:
        """The boxes of at least one part, one part after the other."""
        boxes, heat, areas = zip(*parts, strict=True)
        return cls(np.concatenate(boxes), np.concatenate(heat), np.concatenate(areas))

    def take(self, kept: NDArray[np.integer] | NDArray[np.bool_]) -> HeatBoxes:
        """Boxes at the given positions, or where a mask is true."""
        return HeatBoxes(self.boxes_xyxy[kept], self.heat[kept], self.areas[kept])

    def largest(self, count: int = 1) -> HeatBoxes:
        """At most `count` components with the most pixels, the largest first.

        Of equals that comes first whose first pixel in raster order does.
        """
        return self.take(np.argsort(-self.areas, kind="stable")[:count])


def boxes_at(
    map01: NDArray[np.float32], cutoff: float | np.float32, rule: ComponentRule = "all"
) -> HeatBoxes:
    """Bounding boxes of the 8-connected components strictly above the cut-off.

    Args:
        map01: (H, W) float32; the comparison is made in float32, as in `component_tree`.
        rule: "largest" keeps the component with the most pixels, "all" keeps every one.

    Without foreground there are no boxes.
    """
    from workloads.localization import component_labels  # brings a compiler; settings need none

    corners, heat, areas = component_labels.label(
        np.ascontiguousarray(map01, dtype=np.float32), np.float32(cutoff)
    )
    found = HeatBoxes(corners.astype(np.float32), heat, areas)
    return found if rule == "all" else found.largest()


def tight_box(map01: NDArray[np.float32], cutoff: float | np.float32) -> HeatBoxes:
    """The one box around all foreground of an (H, W) map together; none without foreground.

    Its area is the number of foreground pixels; the comparison is that of `boxes_at`.
    """
    inside = map01 > np.float32(cutoff)
    columns, rows = (np.flatnonzero(inside.any(axis=axis)) for axis in (0, 1))
    if not len(rows):
        return HeatBoxes.none()
    box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    return HeatBoxes(
        np.array([box], np.float32),
        np.array([map01.max()], np.float32),
        np.array([np.count_nonzero(inside)]),
    )


def iou_matrix(
    a: NDArray[np.number], b: NDArray[np.number], widths: BoxWidths = "half_open"
) -> NDArray[np.float64]:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4); empty boxes give 0.

    Args:
        widths: "half_open" for x1 - x0, "plus_one" for x1 - x0 + 1 (ILSVRC's own code).
    """
    ours, theirs = a.astype(np.float64), b.astype(np.float64)
    if widths == "plus_one":
        inclusive = np.array([0.0, 0.0, 1.0, 1.0])
        ours, theirs = ours + inclusive, theirs + inclusive
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    inter: NDArray[np.float64] = np.clip(high - low, 0.0, None).prod(axis=2)
    union = _areas(ours)[:, None] + _areas(theirs)[None, :] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def best_iou_per_box(
    boxes_xyxy: NDArray[np.number],
    gt_boxes_xyxy: NDArray[np.number],
    widths: BoxWidths = "half_open",
) -> NDArray[np.float64]:
    """(N,) best IoU of each box with any ground-truth box; 0 without ground truth."""
    overlaps = iou_matrix(boxes_xyxy, gt_boxes_xyxy, widths)
    best: NDArray[np.float64] = overlaps.max(axis=1, initial=0.0)
    return best


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas
