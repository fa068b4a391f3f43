"""The compiled passes behind `component_tree`; all in one file, so that their cache knows changes.

Arrays cross no call for each pixel: small helpers are inlined (by LLVM where they have no loop,
by numba where they have one), because the reference counts that numba keeps around a call made
the pass six times slower.

Shapes: H W size of a map, K thresholds, G ground-truth boxes, C components. Arguments of many:
state (C, 8) one row for each component; labels (H + 2) * (W + 2) flat, the component of each
pixel or -1; k the threshold at hand; gt (G, 4); table (log2 K, K) of IoU.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Columns of a component's row in the state; one row is one cache line.
_PARENT, _AREA, _FIRST, _SINCE, _X0, _Y0, _X1, _Y1 = range(8)


def _speakers() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Neighbours that speak for all, for each of the 256 sets of foreground neighbours.

    Neighbours that touch each other are one component already, so only one of each such group
    needs to be asked. Returns the number of groups (256,) and the offsets dy, dx (256, 4) of
    their speakers; bit b of a set is `_ring()[b]`.
    """
    counts = np.zeros(256, np.int64)
    dy, dx = np.zeros((256, 4), np.int64), np.zeros((256, 4), np.int64)
    for members in range(256):
        left = [n for bit, n in enumerate(_ring()) if members >> bit & 1]
        while left:
            dy[members, counts[members]], dx[members, counts[members]] = left[0]
            counts[members] += 1
            left = _without_group_of(left[0], left)
    return counts, dy, dx


def _ring() -> list[tuple[int, int]]:
    return [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def _without_group_of(
    first: tuple[int, int], cells: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    group, left = [first], [c for c in cells if c != first]
    for cell in group:  # grows while it is walked
        near = [c for c in left if max(abs(c[0] - cell[0]), abs(c[1] - cell[1])) == 1]
        group += near
        left = [c for c in left if c not in near]
    return left


_SPEAKERS, _SPEAKER_DY, _SPEAKER_DX = _speakers()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def quantize(map01: NDArray[np.floating], thresholds: NDArray[np.float64]) -> NDArray[np.int32]:
    """A guess for evenly spaced thresholds, corrected by comparison: exact for any."""
    height, width = map01.shape
    count = len(thresholds)
    levels = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            value = np.float64(map01[y, x])
            if not value > thresholds[0]:
                continue
            k = int(min(max(value * count, 0.0), count - 1.0))
            while not value > thresholds[k]:
                k -= 1
            while k + 1 < count and value > thresholds[k + 1]:
                k += 1
            levels[y, x] = k + 1
    return levels


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _descending(levels: NDArray[np.int32], count: int) -> tuple[NDArray, NDArray]:
    """Counting sort: pixels by descending level, raster order within one, and each level's end.

    Pixels of level 0 are never foreground and left out. `ends[k]` is where the pixels above
    threshold k end; they start at `ends[k + 1]`.
    """
    height, width = levels.shape
    ends = np.zeros(count + 1, np.int64)
    for y in range(height):
        for x in range(width):
            if levels[y, x] > 0:
                ends[levels[y, x] - 1] += 1
    for k in range(count - 1, -1, -1):
        ends[k] += ends[k + 1]
    fill = ends.copy()
    order = np.empty(ends[0], np.int64)
    for y in range(height):
        for x in range(width):
            level = levels[y, x]
            if level > 0:
                order[fill[level]] = (np.int64(y) << 32) | x
                fill[level] += 1
    return order, ends


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sweep(
    levels: NDArray[np.int32], count: int, gt: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """(H, W) levels, K, (G, 4) to the largest boxes (K, 4), their areas and the best IoU (K,)."""
    height, width = levels.shape
    order, ends = _descending(levels, count)
    # A component is born where no neighbour is foreground: at most one per 2x2 block.
    state = np.empty((((height + 1) // 2) * ((width + 1) // 2), 8), np.int32)
    stride = width + 2  # a border of background, so that no pixel is at an edge
    labels = np.full((height + 2) * stride, -1, np.int32)
    table = np.zeros((_floor_log2(count) + 1, count))
    largest, area = np.zeros((count, 4), np.int32), np.zeros(count, np.int32)
    born, best = 0, -1
    for k in range(count - 1, -1, -1):
        for i in range(ends[k + 1], ends[k]):
            y, x = order[i] >> 32, order[i] & 0xFFFFFFFF
            place = (y + 1) * stride + x + 1
            around = _foreground_around(labels, place, stride)
            if around == 0:
                root = born
                born += 1
                _birth(state, root, x, y, place, k)
            else:
                root = _find(state, labels[place + _speaker(around, 0, stride)])
                if _SPEAKERS[around] > 1:
                    root = _unite_others(state, labels, root, place, stride, around, k, gt, table)
                _add_pixel(state, root, place)
                if not _covers(state, root, x, y, x + 1, y + 1):
                    _extend(state, root, x, y, x + 1, y + 1, k, gt, table)
            labels[place] = root
            # Keys only grow, so the running best of all keys seen is the best one alive.
            if best < 0 or _beats(state, root, best):
                best = root
        if best >= 0:
            area[k] = state[best, _AREA]
            for side in range(4):
                largest[k, side] = state[best, _X0 + side]
    for c in range(born):
        if state[c, _PARENT] == c:
            _flush(state, c, -1, gt, table)
    return largest, area, _push_down(table)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def components(
    levels: NDArray[np.int32], map01: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(H, W) levels and heat, K to every component at every threshold, M of them in all.

    Returns:
        (M, 7) threshold, place of the first pixel in raster order, pixels, and box; and (M,)
        maximal heat. By descending threshold.
    """
    height, width = levels.shape
    order, ends = _descending(levels, count)
    most = ((height + 1) // 2) * ((width + 1) // 2)
    state, heat = np.empty((most, 8), np.int32), np.empty(most, np.float32)
    alive = np.empty(most, np.int32)
    stride = width + 2
    labels = np.full((height + 2) * stride, -1, np.int32)
    no_gt, no_table = np.zeros((0, 4)), np.zeros((1, 1))
    found, hottest = np.empty((64, 7), np.int32), np.empty(64, np.float32)
    born, living, size = 0, 0, 0
    for k in range(count - 1, -1, -1):
        for i in range(ends[k + 1], ends[k]):
            y, x = order[i] >> 32, order[i] & 0xFFFFFFFF
            place = (y + 1) * stride + x + 1
            around = _foreground_around(labels, place, stride)
            if around == 0:
                root = born
                born += 1
                _birth(state, root, x, y, place, k)
                heat[root] = map01[y, x]
                alive[living] = root
                living += 1
            else:
                root = _find(state, labels[place + _speaker(around, 0, stride)])
                peak = max(heat[root], map01[y, x])
                for j in range(1, _SPEAKERS[around]):
                    other = _find(state, labels[place + _speaker(around, j, stride)])
                    if other != root:
                        peak = max(peak, heat[other])
                        root = _unite(state, root, other, k, no_gt, no_table)
                heat[root] = peak
                _add_pixel(state, root, place)
                if not _covers(state, root, x, y, x + 1, y + 1):
                    _extend(state, root, x, y, x + 1, y + 1, k, no_gt, no_table)
            labels[place] = root
        if size + living > len(found):
            found = _larger(found, 2 * (size + living))
            hottest = _larger(hottest, 2 * (size + living))
        kept = 0
        for a in range(living):  # moved to the front: `kept` never passes a
            c = alive[a]
            if state[c, _PARENT] != c:
                continue
            alive[kept] = c
            kept += 1
            found[size, 0], found[size, 1], found[size, 2] = k, state[c, _FIRST], state[c, _AREA]
            found[size, 3:] = state[c, _X0:]
            hottest[size] = heat[c]
            size += 1
        living = kept
    return found[:size].copy(), hottest[:size].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _larger(array: NDArray, length: int) -> NDArray:
    """The rows of an array, with room for more."""
    grown = np.empty((length, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _foreground_around(labels: NDArray[np.int32], place: int, stride: int) -> int:
    """The set of foreground neighbours, one bit each in the order of `_ring`; no branches."""
    around: int = (
        (labels[place - stride - 1] >= 0)
        | (labels[place - stride] >= 0) << 1
        | (labels[place - stride + 1] >= 0) << 2
        | (labels[place - 1] >= 0) << 3
        | (labels[place + 1] >= 0) << 4
        | (labels[place + stride - 1] >= 0) << 5
        | (labels[place + stride] >= 0) << 6
        | (labels[place + stride + 1] >= 0) << 7
    )
    return around


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unite_others(
    state: NDArray[np.int32],
    labels: NDArray[np.int32],
    root: int,
    place: int,
    stride: int,
    around: int,
    k: int,
    gt: NDArray[np.float64],
    table: NDArray[np.float64],
) -> int:
    """Unite what the other speakers stand for with the first one's root; the new root."""
    for j in range(1, _SPEAKERS[around]):
        other = _find(state, labels[place + _speaker(around, j, stride)])
        if other != root:
            root = _unite(state, root, other, k, gt, table)
    return root


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _speaker(around: int, j: int, stride: int) -> int:
    return int(_SPEAKER_DY[around, j] * stride + _SPEAKER_DX[around, j])


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _find(state: NDArray[np.int32], c: int) -> int:
    while state[c, _PARENT] != c:
        state[c, _PARENT] = state[state[c, _PARENT], _PARENT]
        c = state[c, _PARENT]
    return c


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unite(
    state: NDArray[np.int32],
    a: int,
    b: int,
    k: int,
    gt: NDArray[np.float64],
    table: NDArray[np.float64],
) -> int:
    """Two roots become one: the one with the larger area."""
    if state[a, _AREA] < state[b, _AREA]:
        a, b = b, a
    _flush(state, b, k, gt, table)
    state[b, _PARENT] = a
    state[a, _AREA] += state[b, _AREA]
    state[a, _FIRST] = min(state[a, _FIRST], state[b, _FIRST])
    x0, y0, x1, y1 = state[b, _X0], state[b, _Y0], state[b, _X1], state[b, _Y1]
    if not _covers(state, a, x0, y0, x1, y1):
        _extend(state, a, x0, y0, x1, y1, k, gt, table)
    return a


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _birth(state: NDArray[np.int32], c: int, x: int, y: int, place: int, k: int) -> None:
    state[c, _PARENT] = c
    state[c, _AREA] = 1
    state[c, _FIRST] = place
    state[c, _SINCE] = k
    state[c, _X0], state[c, _Y0] = x, y
    state[c, _X1], state[c, _Y1] = x + 1, y + 1


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _add_pixel(state: NDArray[np.int32], c: int, place: int) -> None:
    state[c, _AREA] += 1
    state[c, _FIRST] = min(state[c, _FIRST], place)


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _covers(state: NDArray[np.int32], c: int, x0: int, y0: int, x1: int, y1: int) -> bool:
    """Whether a box lies in the component's: then the same box lives on."""
    return bool(
        (x0 >= state[c, _X0])
        & (y0 >= state[c, _Y0])
        & (x1 <= state[c, _X1])
        & (y1 <= state[c, _Y1])
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _extend(
    state: NDArray[np.int32],
    c: int,
    x0: int,
    y0: int,
    x1: int,
    y1: int,
    k: int,
    gt: NDArray[np.float64],
    table: NDArray[np.float64],
) -> None:
    """Widen a component's box; the old box lived until the threshold before k."""
    _flush(state, c, k, gt, table)
    state[c, _SINCE] = k
    state[c, _X0], state[c, _Y0] = min(x0, state[c, _X0]), min(y0, state[c, _Y0])
    state[c, _X1], state[c, _Y1] = max(x1, state[c, _X1]), max(y1, state[c, _Y1])


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _beats(state: NDArray[np.int32], a: int, b: int) -> bool:
    """Larger area; of equals the one that comes first in raster order."""
    if state[a, _AREA] != state[b, _AREA]:
        return bool(state[a, _AREA] > state[b, _AREA])
    return bool(state[a, _FIRST] < state[b, _FIRST])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _flush(
    state: NDArray[np.int32], c: int, k: int, gt: NDArray[np.float64], table: NDArray[np.float64]
) -> None:
    """Write the IoU of a box that lived at thresholds k + 1 .. since, if it lived at any."""
    length = state[c, _SINCE] - k
    if length <= 0 or len(gt) == 0:
        return
    value = _iou(state[c, _X0], state[c, _Y0], state[c, _X1], state[c, _Y1], gt)
    # Two power-of-two ranges that overlap cover the interval: a range maximum in O(1).
    j = _floor_log2(length)
    last = state[c, _SINCE] + 1 - (1 << j)
    table[j, k + 1] = max(table[j, k + 1], value)
    table[j, last] = max(table[j, last], value)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _iou(x0: int, y0: int, x1: int, y1: int, gt: NDArray[np.float64]) -> float:
    """Best IoU of one box with the ground truth, by the formula of `boxes.iou_matrix`."""
    best = 0.0
    area = np.float64((x1 - x0) * (y1 - y0))
    for g in range(len(gt)):
        w = min(np.float64(x1), gt[g, 2]) - max(np.float64(x0), gt[g, 0])
        h = min(np.float64(y1), gt[g, 3]) - max(np.float64(y0), gt[g, 1])
        if w > 0.0 and h > 0.0:
            inter = w * h
            other = (gt[g, 2] - gt[g, 0]) * (gt[g, 3] - gt[g, 1])
            best = max(best, inter / (area + other - inter))
    return best


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _push_down(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row j holds ranges of 2**j thresholds: hand each down to its two halves."""
    count = table.shape[1]
    for j in range(table.shape[0] - 1, 0, -1):
        half = 1 << (j - 1)
        for k in range(count - half):
            table[j - 1, k] = max(table[j - 1, k], table[j, k])
            table[j - 1, k + half] = max(table[j - 1, k + half], table[j, k])
    best: NDArray[np.float64] = table[0].copy()
    return best


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _floor_log2(n: int) -> int:
    j = 0
    while (2 << j) <= n:
        j += 1
    return j
