"""Scores of all windows of a batch from a sliding network, at one scale or several.

Shapes: B batch, K classes, n m windows in both directions, h w map size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from workloads.methods.oquab.windows import Frame, Placement, Windows


class Scan(NamedTuple):
    """Raw scores at one scale.

    Attributes:
        scores: (B, K, n, m).
        pixels: height and width of the input at that scale.
        inside: (B, 2) int64, how many windows in both directions are inside the image.
    """

    scores: Tensor
    pixels: tuple[int, int]
    inside: Tensor

    @property
    def counts(self) -> Tensor:
        """(B, 1, n, m) bool, whether a window is inside the image."""
        rows, columns = (
            torch.arange(size, device=self.inside.device) < self.inside[:, axis, None]
            for axis, size in enumerate(self.scores.shape[2:])
        )
        return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)

    def best(self, counts: Tensor | None = None) -> Tensor:
        """(B, K) best of the windows that count, one of them alone; -inf where none does.

        Args:
            counts: bool, to be broadcast over `scores`; None for all inside the image.
        """
        allowed = self.counts if counts is None else counts
        return self.scores.masked_fill(~allowed, -torch.inf).flatten(2).max(dim=2).values


def highest_map(
    scans: Sequence[Scan],
    windows: Windows,
    placement: Placement,
    row: int,
    labels: Sequence[int],
    extent: tuple[float, float],
) -> Tensor:
    """The maximum across scales of the maps of one image (Oquab, section 6).

    Args:
        row: index of the image in the batch.
        labels: the wanted classes.
        extent: share of the input's height and width that is image, from the top left.

    Returns:
        (len(labels), h, w) float32 raw scores, one cell for each window of the largest scale. A
        cell on padding alone has the minimum of its map.
    """
    cells = max((scan.scores.shape[2], scan.scores.shape[3]) for scan in scans)
    maps = []
    for scan in scans:
        inside = cast(tuple[int, int], scan.inside[row].tolist())
        frame = Frame(scan.pixels, extent, inside, placement)
        maps.append(windows.place(scan.scores[row, list(labels)].float(), frame, cells))
    highest = torch.stack(maps).amax(dim=0)
    rows, columns = (
        torch.arange(size, device=highest.device) / size < share
        for size, share in zip(cells, extent, strict=True)
    )
    lowest = highest.amin(dim=(1, 2), keepdim=True)
    return torch.where(rows[:, None] & columns, highest, lowest)
