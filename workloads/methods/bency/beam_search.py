"""Beam search over regions, for many classes and images at once (Bency et al. 2016, section 3.4).

Plain arrays and no network: a function that finds and scores children comes in as an argument.
It is asked once a level, for all searches together, and never twice for one region.

Shapes: B images, K classes, T tracks (a track is the search for one class in one image), U regions
to expand, V different children of them, M beam width, m regions of a track at a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Regions = NDArray[np.float64]
"""(N, 5): index of the image, then x0, y0, x1, y1 in positions of that image's feature map,
half-open. Fractions of a position are allowed."""

CHILDREN = 4
NO_CHILD = -1
NO_REGION = -np.inf


class Expansion(NamedTuple):
    """The children of U regions.

    Attributes:
        regions: (V, 5), each child once, in lexicographic order.
        child: (U, 4) int, row of each child in `regions`, NO_CHILD where there is none.
        scores: (U, 4, K) float32, what each child is ranked by. Two parents may give the same
            child different scores. Not looked at where there is no child.
    """

    regions: Regions
    child: NDArray[np.int64]
    scores: NDArray[np.float32]


Expand = Callable[[Regions], Expansion]


class Tracks(NamedTuple):
    """The searches to make: (T,) int rows of the roots and (T,) int classes."""

    root: NDArray[np.int64]
    label: NDArray[np.int64]

    @classmethod
    def of(cls, roots: Sequence[int], labels: Sequence[int]) -> Tracks:
        """From two lists of one length."""
        return cls(np.array(roots, dtype=np.int64), np.array(labels, dtype=np.int64))


class Level(NamedTuple):
    """The regions that each track kept at one level, best first.

    Attributes:
        boxes: (T, m, 4) float64, x0, y0, x1, y1 as in `Regions`.
        scores: (T, m) float32, NO_REGION where a track has fewer than m regions.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float32]


def beam_search(
    expand: Expand,
    roots: Regions,
    root_scores: NDArray[np.float32],
    tracks: Tracks,
    width: int,
    levels: int,
) -> list[Level]:
    """Level by level, the children of what was kept, of which each track keeps the M best.

    A region that two parents share counts once, with the better of its scores. Of equal scores
    the region further left is kept, then that further up, then the narrower, then the lower.
    What a track finds does not depend on the others.

    Args:
        roots: (B, 5), one for each image.
        root_scores: (B, K).
        width: M; 1 is the greedy search.
        levels: H, how often regions are replaced by their children.

    Returns:
        The roots as a level, then at most `levels` more; fewer when nothing has children.
    """
    table, kept = roots, tracks.root[:, None]
    scores = root_scores[kept, tracks.label[:, None]]
    found = [Level(table[kept, 1:], scores)]
    for _ in range(levels):
        rows, parents = _in_use(kept, scores)
        expansion = expand(table[rows])
        table = expansion.regions
        if not len(table):
            break
        kept, scores = _best(expansion, parents, tracks.label, width)
        found.append(Level(table[kept, 1:], scores))
    return found


def children_of(
    regions: Regions, steps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A region's children: less wide by a step at either end, less high by a step at either end.

    That is equation 6 with the restriction below it: width or height changes, never both.

    Args:
        regions: (U, 5).
        steps: (U, 2), how much of the width and of the height goes.

    Returns:
        (U, 4, 5) children that end further left, start further right, end further up and start
        further down, and (U, 4) whether there is such a child; one without width or height is
        none.
    """
    children = np.repeat(regions[:, None], CHILDREN, axis=1)
    sideways, down = steps.T
    children[:, 0, 3] -= sideways
    children[:, 1, 1] += sideways
    children[:, 2, 4] -= down
    children[:, 3, 2] += down
    exists: NDArray[np.bool_] = np.all(children[..., 3:] > children[..., 1:3], axis=2)
    return children, exists


def numbered(
    children: NDArray[np.float64], exists: NDArray[np.bool_]
) -> tuple[Regions, NDArray[np.int64]]:
    """`Expansion.regions` and `Expansion.child` of what `children_of` gives.

    Equal regions have equal bits: the same cuts of an axis are the same sums, whatever was cut
    from the other axis in between.
    """
    regions, rows = np.unique(children[exists], axis=0, return_inverse=True)
    child = np.full(exists.shape, NO_CHILD, dtype=np.int64)
    child[exists] = rows.reshape(-1)
    return regions, child


def _in_use(
    kept: NDArray[np.int64], scores: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The kept rows, each once, and (T, m) which of them a track has, NO_CHILD for none."""
    has_region = scores > NO_REGION
    rows, positions = np.unique(kept[has_region], return_inverse=True)
    parents = np.full(kept.shape, NO_CHILD, dtype=np.int64)
    parents[has_region] = positions.reshape(-1)
    return rows, parents


def _best(
    expansion: Expansion, parents: NDArray[np.int64], labels: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(T, m) rows of `expansion.regions` that each track keeps, and their scores, best first."""
    child = np.where(parents[..., None] == NO_CHILD, NO_CHILD, expansion.child[parents])
    scores = expansion.scores[parents, :, labels[:, None]]
    child = child.reshape(len(labels), -1)
    scores = np.where(child == NO_CHILD, NO_REGION, scores.reshape(child.shape))

    # Equal regions side by side, the best of them first: the others are struck out.
    child, scores = _reordered(np.lexsort((-scores, child), axis=1), child, scores)
    scores[:, 1:][child[:, 1:] == child[:, :-1]] = NO_REGION
    # The sort is stable, so ties keep the lexicographic order of the regions.
    best_first = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    return _reordered(best_first, child, scores)


def _reordered(
    order: NDArray[np.intp], child: NDArray[np.int64], scores: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.take_along_axis(child, order, axis=1), np.take_along_axis(scores, order, axis=1)
