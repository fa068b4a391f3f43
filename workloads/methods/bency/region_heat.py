"""From scored regions to a heat map (Bency, section 3.4: regions "spatially sum-pooled").

Shapes: R regions, h w size of the feature map, H W = cells * h, cells * w size of the heat map.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Heat that differs by less, as a share of the maximum, is equal: float32 maps downstream resolve
# about a tenth of that.
EQUAL = 1e-6
# How much the centre of the hottest region rises, as a share of the maximum: too little for a
# cut-off to notice, and after magnification still more than float32 rounds.
RISE = 1e-3


def region_heat(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    height: int,
    width: int,
    cells: int,
) -> NDArray[np.float64]:
    """(H, W) sum over regions of score times the share of each cell that the region covers.

    Args:
        boxes: (R, 4), x0, y0, x1, y1 in positions of the feature map. On whole positions the
            map is exact, else a cell on the edge has the mean over its area.
        scores: (R,).
        height, width: h, w.
        cells: cells for each position of the feature map, in both directions.
    """
    x0, y0, x1, y1 = (cells * boxes).T
    down = _covered(y0, y1, cells * height)
    across = _covered(x0, x1, cells * width)
    heat: NDArray[np.float64] = (down * scores[:, None]).T @ across
    return heat


def with_central_peak(heat: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H, W) heat whose maximum is the centre of its hottest region.

    Sums of rectangles have plateaus, and the location of an object is the centre of the hottest
    one (section 4.2), not its first pixel. So its cells are raised, the further inside the more,
    by at most RISE of the maximum: no other cell changes, and no order among cells that differ.
    Of an even number of cells across, it is the later one beside the centre. A constant map
    falls from its centre to its edges; one without heat stays as it is.

    The region is what can be reached from the first of the hottest cells to the right and down:
    where rectangles overlap most is a rectangle.
    """
    hottest = heat >= heat.max() * (1 - EQUAL)
    y0, x0 = (int(i) for i in np.unravel_index(int(hottest.argmax()), heat.shape))
    y1, x1 = y0 + _run(hottest[y0:, x0]), x0 + _run(hottest[y0, x0:])
    depth = np.outer(_inwards(y1 - y0), _inwards(x1 - x0))
    raised = heat.copy()
    raised[y0:y1, x0:x1] += RISE * heat.max() * depth * hottest[y0:y1, x0:x1]
    return raised


def _covered(
    low: NDArray[np.float64], high: NDArray[np.float64], cells: int
) -> NDArray[np.float64]:
    """(R, cells) share of each cell [i, i + 1) that lies between low and high."""
    cell = np.arange(cells)
    shares: NDArray[np.float64] = np.clip(
        np.minimum(high[:, None], cell + 1) - np.maximum(low[:, None], cell), 0, None
    )
    return shares


def _run(flags: NDArray[np.bool_]) -> int:
    """Number of flags that are set before the first that is not."""
    return len(flags) if flags.all() else int(flags.argmin())


def _inwards(length: int) -> NDArray[np.float64]:
    """(length,) in (0, 1), falling evenly from the centre to the ends.

    The centre is set a quarter of a cell late: of an even number of cells one has to be highest,
    for the first of two equal ones at the edge of a map would be its outermost pixel.
    """
    distance = np.abs(np.arange(length) + 0.25 - length / 2)
    return np.asarray(1 - 2 * distance / (length + 0.5))
