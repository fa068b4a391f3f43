"""The compiled passes behind `contour_protocol`; one file, so that their cache knows changes.

Three facts make one pass enough:

- Outer contours have the boxes of the 8-connected components of `picture > k`. Hole contours have
  the boxes of the 4-connected components of `picture <= k` that do not reach the outside, one
  pixel larger on each side.
- Let `filled` be the picture with every hole filled up to where it runs over: for each pixel the
  lowest maximum along any 4-connected path to the outside. A pixel lies in a hole at thresholds
  picture <= k < filled, and the components of `filled > k` are the outermost components of
  `picture > k` with their holes closed.
- The polygon through the border pixels of a component without holes has as its area half the
  number of 2x2 quads with three pixels of it plus the number of quads with four. So it is a sum
  over joining pixels: a half when a quad gets its third pixel, a half when it gets its fourth.

So pixels near holes join in ascending order (hole contours, `filled`, and where islands may lie),
then pixels in descending order: those of `filled` for the outermost contours, and those of the
picture around islands for the rest. Helpers are inlined for the reason given in
`component_kernels`.

# H W picture size, N = (H + 2) * (W + 2) cells of the picture with a border, P pixels that join,
# G ground-truth boxes, C components
# Shared arguments: cells (P,) y << 32 | x by ascending level, starts (257,) where each level
# begins in it; where (H, W) which pixels join; labels (N,) the component of each cell; state (C,
# ...) one row per component; k the threshold at hand; gt (G, 4) inclusive corners; last (W - 1,
# H - 1); best (256,) best IoU at each threshold, written in place.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEVELS = 256

# Columns of a component's row in the state. Corners are inclusive. An outer component has a
# polygon area in half pixels and its first cell in raster order; a hole has any cell of its ring
# of cells, its Euler number and whether that was ever below one: then it enclosed an island.
_PARENT, _SINCE, _X0, _Y0, _X1, _Y1 = range(6)
_HALVES, _FIRST = 6, 7
_CELL, _EULER, _ENCLOSED = 6, 7, 8

_UNJOINED, _OUTSIDE = -1, -2  # labels of cells in no component
# Values of `where`. Pixels on the rim end what they touch: they let a hole run over, or they are
# where a component leaves the boxes in which islands may lie. Bits, of which the inner one counts.
_ABSENT, _RIM, _INNER = np.uint8(0), np.uint8(1), np.uint8(2)


def _neighbourhoods() -> tuple[NDArray[np.int32], ...]:
    """Tables for a joining pixel, by each of the 256 sets of neighbours in place.

    Bit i of a set is neighbour i around the pixel, clockwise from the one above; odd ones are
    corners. Neighbours that touch are one component already, so only the first of each such group
    needs to be asked.

    Returns:
        (256,) number of groups and (256, 4) their first neighbours; (256,) quads that get their
        third or fourth pixel; (256,) change of the Euler number of a 4-connected region.
    """
    groups, speakers = np.zeros(256, np.int32), np.zeros((256, 4), np.int32)
    quads, euler = np.zeros(256, np.int32), np.zeros(256, np.int32)
    for members in range(256):
        ring = [members >> i & 1 for i in range(8)]
        corners = [ring[i - 1] + ring[i] + ring[(i + 1) % 8] for i in (1, 3, 5, 7)]
        first = [i for i in range(8) if ring[i] and not _follows(i, ring)]
        first = first or [i for i in range(8) if ring[i]][:1]  # a ring without a beginning
        groups[members], speakers[members, : len(first)] = len(first), first
        quads[members] = sum(count >= 2 for count in corners)
        euler[members] = 1 - sum(ring[::2]) + sum(count == 3 for count in corners)
    return groups, speakers, quads, euler


def _follows(i: int, ring: list[int]) -> bool:
    """Whether neighbour i touches one before it: the last, or two sides around a corner."""
    return bool(ring[i - 1] or (i % 2 == 0 and ring[i - 2]))


_GROUPS, _SPEAKERS, _QUADS, _EULER_STEP = _neighbourhoods()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sweep(
    picture: NDArray[np.uint8], gt: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """(H, W) and (G, 4) to the largest box (256, 4), its IoU (256,) and the best IoU (256,).

    Row k is for the foreground `picture > k`; boxes and IoU are those of the protocol.
    """
    last = (picture.shape[1] - 1, picture.shape[0] - 1)
    best = np.zeros(LEVELS)
    filled = _almost_filled(picture)
    islands = _hole_contours(picture, filled, gt, last, best)
    _outer_contours(picture, islands, True, gt, last, best)
    largest = _outer_contours(filled, np.full_like(picture, _INNER), False, gt, last, best)
    iou = np.zeros(LEVELS)
    for k in range(LEVELS):
        iou[k] = _iou(largest[k, 0], largest[k, 1], largest[k, 2], largest[k, 3], gt)
        best[k] = max(best[k], iou[k])  # where nothing is foreground there is the one zero box
    return largest, iou, best


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def best_outer(picture: NDArray[np.uint8], gt: NDArray[np.int64]) -> NDArray[np.float64]:
    """(256,) best IoU as in `sweep`, but without the contours of holes."""
    best = np.zeros(LEVELS)
    last = (picture.shape[1] - 1, picture.shape[0] - 1)
    _outer_contours(picture, np.full_like(picture, _INNER), False, gt, last, best)
    for k in range(picture.max(), LEVELS):
        best[k] = _iou(0, 0, 0, 0, gt)
    return best


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _almost_filled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The filled picture along paths found by one scan down and one up: never too low.

    Where it equals the picture it is exact, which rules out most pixels at little cost.
    """
    height, width = picture.shape
    filled = picture.copy()
    for y in range(1, height - 1):
        level = picture[y, 0]
        for x in range(1, width - 1):
            level = max(picture[y, x], min(level, filled[y - 1, x]))
            filled[y, x] = level
    for y in range(height - 2, 0, -1):
        level = picture[y, width - 1]
        for x in range(width - 2, 0, -1):
            level = max(picture[y, x], min(level, filled[y, x], filled[y + 1, x]))
            filled[y, x] = level
    return filled


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _near_holes(picture: NDArray[np.uint8], filled: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) inner where a hole may be, rim at the pixels beside those: they let it run over."""
    height, width = picture.shape
    where = np.zeros_like(picture)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if filled[y, x] > picture[y, x]:
                where[y, x] = _INNER
                where[y - 1, x] |= _RIM
                where[y, x - 1] |= _RIM
                where[y, x + 1] |= _RIM
                where[y + 1, x] |= _RIM
    return where


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ascending(
    picture: NDArray[np.uint8], where: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counting sort of the pixels that join: by level, raster order within one."""
    height, width = picture.shape
    starts = np.zeros(LEVELS + 1, np.int64)
    for y in range(height):
        for x in range(width):
            if where[y, x] != _ABSENT:
                starts[np.int64(picture[y, x]) + 1] += 1
    for level in range(LEVELS):
        starts[level + 1] += starts[level]
    fill = starts.copy()
    cells = np.empty(starts[LEVELS], np.int64)
    for y in range(height):
        for x in range(width):
            if where[y, x] != _ABSENT:
                level = picture[y, x]
                cells[fill[level]] = (np.int64(y) << 32) | x
                fill[level] += 1
    return cells, starts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hole_contours(
    picture: NDArray[np.uint8],
    filled: NDArray[np.uint8],
    gt: NDArray[np.int64],
    last: tuple[int, int],
    best: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Score the boxes of all holes and make `filled` exact; returns where islands may lie."""
    where = _near_holes(picture, filled)
    cells, starts = _ascending(picture, where)
    stride = picture.shape[1] + 2
    labels = np.full((picture.shape[0] + 2) * stride, _UNJOINED, np.int32)
    links = np.arange(len(labels), dtype=np.int32)  # each cell a ring of its own
    state = np.empty((len(cells) // 2 + 1, 9), np.int32)
    islands = np.zeros_like(picture)
    suspects = np.empty(len(cells), np.int32)
    born = 0
    for k in range(LEVELS):
        count = 0
        for i in range(starts[k], starts[k + 1]):
            y, x = cells[i] >> 32, cells[i] & 0xFFFFFFFF
            p = (y + 1) * stride + x + 1
            root, several = _hole_beside(state, labels, p, stride)
            if several:
                root = _unite_beside(state, links, labels, p, stride, k, gt, last, best)
            if where[y, x] == _RIM or _outside_beside(labels, p, stride):
                labels[p] = _OUTSIDE
                filled[y, x] = k
                if root >= 0:
                    _flush_hole(state, root, k, gt, last, best)
                    _run_over(state, links, labels, filled, islands, root, k)
                continue
            if root < 0:
                root = born
                born += 1
                _birth(state, root, x, y, k)
                state[root, _CELL], state[root, _EULER], state[root, _ENCLOSED] = p, 0, 0
            else:
                _splice(links, state[root, _CELL], p)
                if not _covers(state, root, x, y):
                    _flush_hole(state, root, k, gt, last, best)
                    _widen(state, root, x, y, x, y)
            state[root, _EULER] += _EULER_STEP[_around(labels, p, stride)]
            labels[p] = root
            if state[root, _EULER] < 1 and not state[root, _ENCLOSED]:
                suspects[count] = root
                count += 1
        _note_islands(state, suspects[:count])
    return islands


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _hole_beside(
    state: NDArray[np.int32], labels: NDArray[np.int32], p: int, stride: int
) -> tuple[int, bool]:
    """A hole beside a joining pixel, -1 without any, and whether there are others."""
    root, several = -1, False
    for step in (-stride, -1, 1, stride):
        other = labels[p + step]
        if other >= 0 and other != root:
            other = _find(state, other)
            several |= root >= 0 and other != root
            root = other
    return root, several


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unite_beside(
    state: NDArray[np.int32],
    links: NDArray[np.int32],
    labels: NDArray[np.int32],
    p: int,
    stride: int,
    k: int,
    gt: NDArray[np.int64],
    last: tuple[int, int],
    best: NDArray[np.float64],
) -> int:
    """Make one hole of all beside a pixel, which are one or more."""
    root = -1
    for step in (-stride, -1, 1, stride):
        if labels[p + step] >= 0:
            other = _find(state, labels[p + step])
            if root >= 0 and other != root:
                _unite_holes(state, links, root, other, k, gt, last, best)
            else:
                root = other
    return root


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _outside_beside(labels: NDArray[np.int32], p: int, stride: int) -> bool:
    return bool(
        (labels[p - stride] == _OUTSIDE)
        | (labels[p - 1] == _OUTSIDE)
        | (labels[p + 1] == _OUTSIDE)
        | (labels[p + stride] == _OUTSIDE)
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unite_holes(
    state: NDArray[np.int32],
    links: NDArray[np.int32],
    a: int,
    b: int,
    k: int,
    gt: NDArray[np.int64],
    last: tuple[int, int],
    best: NDArray[np.float64],
) -> None:
    """Hole b becomes part of hole a."""
    _flush_hole(state, a, k, gt, last, best)
    _flush_hole(state, b, k, gt, last, best)
    _absorb(state, a, b)
    _splice(links, state[a, _CELL], state[b, _CELL])
    state[a, _EULER] += state[b, _EULER]
    state[a, _ENCLOSED] |= state[b, _ENCLOSED]


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _splice(links: NDArray[np.int32], a: int, b: int) -> None:
    """Two rings of cells become one."""
    links[a], links[b] = links[b], links[a]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _note_islands(state: NDArray[np.int32], suspects: NDArray[np.int32]) -> None:
    """Once a level is complete: what a hole enclosed before may have been pixels of the level."""
    for suspect in suspects:
        root = _find(state, suspect)
        state[root, _ENCLOSED] |= state[root, _EULER] < 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run_over(
    state: NDArray[np.int32],
    links: NDArray[np.int32],
    labels: NDArray[np.int32],
    filled: NDArray[np.uint8],
    islands: NDArray[np.uint8],
    c: int,
    k: int,
) -> None:
    """A hole reaches the outside: it is full, and so is the box in which its islands lay."""
    stride = filled.shape[1] + 2
    p = state[c, _CELL]
    while labels[p] != _OUTSIDE:
        labels[p] = _OUTSIDE
        filled[p // stride - 1, p % stride - 1] = k
        p = links[p]
    if state[c, _ENCLOSED]:
        x0, y0, x1, y1 = state[c, _X0], state[c, _Y0], state[c, _X1], state[c, _Y1]
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                islands[y, x] |= _INNER if x0 < x < x1 and y0 < y < y1 else _RIM


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _flush_hole(
    state: NDArray[np.int32],
    c: int,
    k: int,
    gt: NDArray[np.int64],
    last: tuple[int, int],
    best: NDArray[np.float64],
) -> None:
    """Score a hole's box for the thresholds since .. k - 1 at which it was that."""
    since = state[c, _SINCE]
    state[c, _SINCE] = k
    if since < k:
        x1, y1 = min(state[c, _X1] + 2, last[0]), min(state[c, _Y1] + 2, last[1])
        value = _iou(state[c, _X0] - 1, state[c, _Y0] - 1, x1, y1, gt)
        for level in range(since, k):
            best[level] = max(best[level], value)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _outer_contours(
    picture: NDArray[np.uint8],
    where: NDArray[np.uint8],
    rimmed: bool,
    gt: NDArray[np.int64],
    last: tuple[int, int],
    best: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Score the boxes of all components; the largest ones' boxes (256, 4).

    Where the pixels are rimmed a component counts only as long as it keeps off the rim: others
    go on beyond, among pixels that do not join.
    """
    cells, starts = _ascending(picture, where)
    stride = picture.shape[1] + 2
    speakers = _speaker_steps(stride)
    labels = np.full((picture.shape[0] + 2) * stride, _UNJOINED, np.int32)
    # A component is born where no neighbour is foreground: at most one per 2x2 block.
    most = ((picture.shape[0] + 1) // 2) * ((picture.shape[1] + 1) // 2)
    state = np.empty((most, 8), np.int32)
    roots = np.empty(most, np.int32)
    largest = np.zeros((LEVELS, 4), np.int64)
    born, alive = 0, 0
    for k in range(LEVELS - 2, -1, -1):
        for i in range(starts[k + 1], starts[k + 2]):
            y, x = cells[i] >> 32, cells[i] & 0xFFFFFFFF
            p = (y + 1) * stride + x + 1
            around = _around(labels, p, stride)
            if around == 0:
                root = born
                _birth(state, root, x, y, k)
                state[root, _HALVES], state[root, _FIRST] = 0, p
                roots[alive] = root
                born, alive = born + 1, alive + 1
            else:
                root = _find(state, labels[p + speakers[around, 0]])
                for j in range(1, _GROUPS[around]):
                    other = _find(state, labels[p + speakers[around, j]])
                    if other != root:
                        root = _unite(state, root, other, k, gt, last, best)
                state[root, _HALVES] += _QUADS[around]
                state[root, _FIRST] = min(state[root, _FIRST], p)
                if not _covers(state, root, x, y):
                    _flush(state, root, k, gt, last, best)
                    _widen(state, root, x, y, x, y)
            labels[p] = root
        if rimmed:
            joined = cells[starts[k + 1] : starts[k + 2]]
            _leave_islands(state, labels, where, joined, k, gt, last, best)
        alive = _still_roots(state, roots, alive)
        _largest_box(state, roots[:alive], last, largest[k])
    for c in roots[:alive]:
        _flush(state, c, -1, gt, last, best)
    return largest


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _speaker_steps(stride: int) -> NDArray[np.int32]:
    """(256, 4) how far from a pixel the first neighbour of each group is, in cells."""
    ring = np.array([-stride, 1 - stride, 1, stride + 1, stride, stride - 1, -1, -1 - stride])
    steps = np.empty(_SPEAKERS.shape, np.int32)
    for members in range(len(steps)):
        for j in range(4):
            steps[members, j] = ring[_SPEAKERS[members, j]]
    return steps


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _leave_islands(
    state: NDArray[np.int32],
    labels: NDArray[np.int32],
    where: NDArray[np.uint8],
    joined: NDArray[np.int64],
    k: int,
    gt: NDArray[np.int64],
    last: tuple[int, int],
    best: NDArray[np.float64],
) -> None:
    """Components with a pixel on the rim are no islands any more: -1 since."""
    for cell in joined:
        y, x = cell >> 32, cell & 0xFFFFFFFF
        if where[y, x] == _RIM:
            root = _find(state, labels[(y + 1) * (where.shape[1] + 2) + x + 1])
            _flush(state, root, k, gt, last, best)
            state[root, _SINCE] = -1


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _around(labels: NDArray[np.int32], p: int, stride: int) -> int:
    """The set of neighbours in components, one bit each, see `_neighbourhoods`.

    Without branches, and unsigned, so that numba does not look out for negative indices.
    """
    one, row = np.uint64(1), np.uint64(stride)
    above, here, below = np.uint64(p) - row, np.uint64(p), np.uint64(p) + row
    around: int = (
        (labels[above] >= 0)
        | (labels[above + one] >= 0) << 1
        | (labels[here + one] >= 0) << 2
        | (labels[below + one] >= 0) << 3
        | (labels[below] >= 0) << 4
        | (labels[below - one] >= 0) << 5
        | (labels[here - one] >= 0) << 6
        | (labels[above - one] >= 0) << 7
    )
    return around


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
    gt: NDArray[np.int64],
    last: tuple[int, int],
    best: NDArray[np.float64],
) -> int:
    """Two roots become one: the one with the larger area. One that reached the rim has -1 since."""
    if state[a, _HALVES] < state[b, _HALVES]:
        a, b = b, a
    since = min(state[a, _SINCE], state[b, _SINCE], k)
    _flush(state, a, k, gt, last, best)
    _flush(state, b, k, gt, last, best)
    _absorb(state, a, b)
    state[a, _SINCE] = since
    state[a, _HALVES] += state[b, _HALVES]
    state[a, _FIRST] = min(state[a, _FIRST], state[b, _FIRST])
    return a


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _still_roots(state: NDArray[np.int32], roots: NDArray[np.int32], alive: int) -> int:
    """Move the roots that are still roots to the front; how many there are."""
    kept = 0
    for i in range(alive):
        c = roots[i]
        if state[c, _PARENT] == c:
            roots[kept] = c
            kept += 1
    return kept


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _largest_box(
    state: NDArray[np.int32],
    roots: NDArray[np.int32],
    last: tuple[int, int],
    box: NDArray[np.int64],
) -> None:
    """Write the box of the largest polygon; of equals the one whose first cell comes last.

    OpenCV lists the outermost contours from the last one found to the first, and each before its
    holes, which are never larger.
    """
    if len(roots) == 0:
        return
    top = roots[0]
    for c in roots[1:]:
        if state[c, _HALVES] > state[top, _HALVES] or (
            state[c, _HALVES] == state[top, _HALVES] and state[c, _FIRST] > state[top, _FIRST]
        ):
            top = c
    box[0], box[1] = state[top, _X0], state[top, _Y0]
    box[2], box[3] = min(state[top, _X1] + 1, last[0]), min(state[top, _Y1] + 1, last[1])


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _birth(state: NDArray[np.int32], c: int, x: int, y: int, k: int) -> None:
    state[c, _PARENT] = c
    state[c, _SINCE] = k
    state[c, _X0], state[c, _Y0] = x, y
    state[c, _X1], state[c, _Y1] = x, y


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _absorb(state: NDArray[np.int32], a: int, b: int) -> None:
    """Root a becomes the parent of root b and its box holds both."""
    state[b, _PARENT] = a
    _widen(state, a, state[b, _X0], state[b, _Y0], state[b, _X1], state[b, _Y1])


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _covers(state: NDArray[np.int32], c: int, x: int, y: int) -> bool:
    """Whether a pixel lies in the component's box: then the same box lives on."""
    return bool(
        (x >= state[c, _X0]) & (y >= state[c, _Y0]) & (x <= state[c, _X1]) & (y <= state[c, _Y1])
    )


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _widen(state: NDArray[np.int32], c: int, x0: int, y0: int, x1: int, y1: int) -> None:
    state[c, _X0], state[c, _Y0] = min(x0, state[c, _X0]), min(y0, state[c, _Y0])
    state[c, _X1], state[c, _Y1] = max(x1, state[c, _X1]), max(y1, state[c, _Y1])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _flush(
    state: NDArray[np.int32],
    c: int,
    k: int,
    gt: NDArray[np.int64],
    last: tuple[int, int],
    best: NDArray[np.float64],
) -> None:
    """Score a component's box for the thresholds k + 1 .. since at which it was that."""
    since = state[c, _SINCE]
    if since > k:
        x1, y1 = min(state[c, _X1] + 1, last[0]), min(state[c, _Y1] + 1, last[1])
        value = _iou(state[c, _X0], state[c, _Y0], x1, y1, gt)
        for level in range(k + 1, since + 1):
            best[level] = max(best[level], value)
        state[c, _SINCE] = k


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _iou(x0: int, y0: int, x1: int, y1: int, gt: NDArray[np.int64]) -> float:
    """Best IoU of one box with the ground truth, sides counted as x1 - x0 + 1."""
    best = 0.0
    for g in range(len(gt)):
        w = min(x1, gt[g, 2]) - max(x0, gt[g, 0]) + 1
        h = min(y1, gt[g, 3]) - max(y0, gt[g, 1]) + 1
        if w > 0 and h > 0:  # so neither box is degenerate
            area = (x1 - x0 + 1) * (y1 - y0 + 1)
            other = (gt[g, 2] - gt[g, 0] + 1) * (gt[g, 3] - gt[g, 1] + 1)
            best = max(best, (w * h) / (area + other - w * h))
    return best
