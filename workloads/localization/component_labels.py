"""The components of one map above one cut-off, in one compiled pass over its rows.

Shapes: H W size of a map, C components.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def label(
    map01: NDArray[np.float32], cutoff: np.float32
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """(H, W) to boxes (C, 4), maximal heat (C,) and pixels (C,) of the components above a cut-off.

    One scan over the runs of foreground pixels in each row: a run joins the components of those
    it touches in the row before. Of two that meet, the one that was born first lives on, so
    components stand in raster order of their first pixels.
    """
    height, width = map01.shape
    # A component is born where a run touches none before it: at most one per 2x2 block.
    most = ((height + 1) // 2) * ((width + 1) // 2)
    parent, area = np.empty(most, np.int64), np.empty(most, np.int64)
    boxes, heat = np.empty((most, 4), np.int32), np.empty(most, np.float32)
    before, row = (
        np.empty(((width + 1) // 2, 3), np.int64),
        np.empty(((width + 1) // 2, 3), np.int64),
    )
    born, count_before = 0, 0
    for y in range(height):
        count, near, x = 0, 0, 0
        while x < width:
            if not map01[y, x] > cutoff:
                x += 1
                continue
            start, hottest = x, map01[y, x]
            while x < width and map01[y, x] > cutoff:
                hottest = max(hottest, map01[y, x])
                x += 1
            # Runs [start, x) touch, corners included, those of the row before that end at
            # `start` or later and begin at x or earlier.
            while near < count_before and before[near, 1] < start:
                near += 1
            root, other = -1, near
            while other < count_before and before[other, 0] <= x:
                root = _join(parent, boxes, heat, area, root, before[other, 2])
                other += 1
            if root < 0:
                root = born
                born += 1
                parent[root], area[root], heat[root] = root, 0, hottest
                boxes[root, 0], boxes[root, 1], boxes[root, 2] = start, y, x
            area[root] += x - start
            heat[root] = max(heat[root], hottest)
            boxes[root, 0] = min(boxes[root, 0], start)
            boxes[root, 2] = max(boxes[root, 2], x)
            boxes[root, 3] = y + 1
            row[count, 0], row[count, 1], row[count, 2] = start, x, root
            count += 1
        before, row = row, before
        count_before = count
    alive = 0
    for c in range(born):  # moved to the front: c never lies before `alive`
        if parent[c] == c:
            boxes[alive], heat[alive], area[alive] = boxes[c], heat[c], area[c]
            alive += 1
    return boxes[:alive].copy(), heat[:alive].copy(), area[:alive].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _join(
    parent: NDArray[np.int64],
    boxes: NDArray[np.int32],
    heat: NDArray[np.float32],
    area: NDArray[np.int64],
    root: int,
    near: int,
) -> int:
    """The component of both `root` (-1 for none yet) and the one that `near` belongs to."""
    while parent[near] != near:
        parent[near] = parent[parent[near]]
        near = parent[near]
    if root < 0 or root == near:
        return near
    first, later = min(root, near), max(root, near)
    parent[later] = first
    area[first] += area[later]
    heat[first] = max(heat[first], heat[later])
    boxes[first, 0] = min(boxes[first, 0], boxes[later, 0])
    boxes[first, 1] = min(boxes[first, 1], boxes[later, 1])
    boxes[first, 2] = max(boxes[first, 2], boxes[later, 2])
    boxes[first, 3] = max(boxes[first, 3], boxes[later, 3])
    return first
