"""Two ways to find and score the children of regions (Bency, sections 3.3 and 3.4).

Shapes: B images, C channels, h w size of a feature map, L side of the map that
the classifier takes, U regions, N candidates, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.methods.base import CropOf
from workloads.methods.bency.beam_search import (
    CHILDREN,
    Expand,
    Expansion,
    Regions,
    children_of,
    numbered,
)
from workloads.methods.bency.sub_grids import resized_sub_grids, same_sub_grids

# Candidates of one pass through the classifier, and crops of one pass through the backbone (their
# four children each make another 32 and 128 candidates). The numbers are fixed and the last pass
# is filled up, for arithmetic libraries round differently for each batch size: so a score has the
# same bits whatever classes and images are searched beside it. Larger numbers waste more where
# few candidates are left, and on a GPU they bound the memory.
CANDIDATES_PER_PASS = {"cpu": 16, "cuda": 128}
CROPS_PER_PASS = {"cpu": 8, "cuda": 32}


class Network(NamedTuple):
    """The parts of a network that turn images into scores.

    Attributes:
        features: (B, 3, H, W) images to (B, C, h, w) maps.
        rank: (N, C, L, L) maps to (N, K) float32, what candidates are ranked by.
        side: L.
    """

    features: Callable[[Tensor], Tensor]
    rank: Callable[[Tensor], Tensor]
    side: int


def whole_maps(count: int, height: int, width: int) -> Regions:
    """(B, 5) the roots of a search: all of each map."""
    roots = np.zeros((count, 5))
    roots[:, 0] = np.arange(count)
    roots[:, 3:] = width, height
    return roots


def on_one_map(network: Network, maps: Tensor) -> Expand:
    """Children are sub-grids of one map for each image: a position less wide or high.

    Args:
        maps: (B, C, h, w).
    """

    def expand(regions: Regions) -> Expansion:
        found, child = numbered(*children_of(regions, np.ones((len(regions), 2))))
        if not len(found):
            return _nothing(child)
        owners = torch.from_numpy(found[:, 0].astype(np.int64))

        def ranked(rows: NDArray[np.int64]) -> Tensor:
            part = resized_sub_grids(maps, owners[rows], found[rows, 1:], network.side)
            return network.rank(part)

        scores = _in_passes(ranked, len(found), CANDIDATES_PER_PASS[maps.device.type])
        return Expansion(found, child, scores[child])

    return expand


def on_crops(network: Network, crop_of: CropOf, maps: Tensor) -> Expand:
    """Children are sub-grids of the map of each region's own crop from the image.

    A region's width is cut by one position of its own map, so by a w-th of itself. Each crop
    goes through the backbone once; whole images do not, their maps are there.

    Args:
        crop_of: cuts regions from the images.
        maps: (B, C, h, w), the maps of the images.
    """
    height, width = maps.shape[2:]
    (whole,) = whole_maps(1, height, width)
    grids, exists = children_of(whole[None], np.ones((1, 2)))
    # A map of one position has no narrower part: the whole takes its place, and is not used.
    grids = np.where(exists[..., None], grids, whole)[0, :, 1:]

    def expand(regions: Regions) -> Expansion:
        sides = regions[:, 3:] - regions[:, 1:3]
        found, child = numbered(*children_of(regions, sides / whole[3:]))
        if not len(found):
            return _nothing(child)
        owners = torch.from_numpy(regions[:, 0].astype(np.int64))
        are_whole = bool((regions[:, 1:] == whole[1:]).all())

        def ranked(rows: NDArray[np.int64]) -> Tensor:
            of_images = owners[rows]
            own = maps[of_images]
            if not are_whole:
                shares = regions[rows, 1:] / np.tile(whole[3:], 2)
                own = network.features(crop_of(of_images, shares))
            parts = same_sub_grids(own, grids, network.side).flatten(0, 1)
            return network.rank(parts).view(len(rows), CHILDREN, -1)

        scores = _in_passes(ranked, len(regions), CROPS_PER_PASS[maps.device.type])
        return Expansion(found, child, scores)

    return expand


def _in_passes(
    score: Callable[[NDArray[np.int64]], Tensor], count: int, size: int
) -> NDArray[np.float32]:
    """Scores of `count` rows, exactly `size` rows at a time; the last row fills up the rest."""
    passes = -(-count // size)
    rows = np.minimum(np.arange(passes * size), count - 1).reshape(passes, size)
    scores: NDArray[np.float32] = torch.cat([score(part) for part in rows])[:count].cpu().numpy()
    return scores


def _nothing(child: NDArray[np.int64]) -> Expansion:
    """The expansion of regions without children."""
    return Expansion(np.zeros((0, 5)), child, np.zeros((*child.shape, 0), np.float32))
