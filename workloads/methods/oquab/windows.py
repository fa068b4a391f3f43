"""The windows of a network that slides its fully connected layers over an image.

Such a network sees one window at every position of its map (Oquab et al. 2015, section 3). Where
the windows lie, which of them see the image, and how their scores become a map is said here.

Shapes: B batch, K classes, N boxes, n m windows in both directions, h w map size.
"""

from __future__ import annotations

from itertools import count
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from workloads.backbones.base import Backbone

Inside = Literal["centre", "window"]
Placement = Literal["stretch", "centres"]

# Shares of an input are rounded numbers; so much of a pixel never decides about a window.
SLACK = 1e-3
# Side and step by kind of backbone: measuring takes a tenth of a second.
_MEASURED: dict[type[Backbone], tuple[int, int]] = {}


class Windows(NamedTuple):
    """Windows of a sliding network: position i sees pixels i * step to i * step + side.

    Attributes:
        side: pixels; an input of this side gives one position.
        step: pixels from one position to the next.
    """

    side: int
    step: int

    @classmethod
    def of(cls, backbone: Backbone) -> Self:
        """The windows of a backbone with fully connected layers, measured on its own map.

        Strides and paddings differ in every network, and so do the sizes that it rounds down or
        up; but the least input that gives one row more always grows by the same step. The side is
        that of the window's cells, grid * step, but at least what gives one position.
        """
        kind = type(backbone)
        if kind not in _MEASURED:
            _MEASURED[kind] = _measure(backbone)
        return cls(*_MEASURED[kind])

    def fill(self, images: Tensor) -> Tensor:
        """Zeros below and to the right of images that are smaller than one window."""
        missing = [max(0, self.side - size) for size in images.shape[2:]]
        return F.pad(images, (0, missing[1], 0, missing[0])) if any(missing) else images

    def inside(self, pixels: Tensor, positions: Tensor, rule: Inside) -> Tensor:
        """Number of positions in the image in each direction; the others see mostly padding.

        Args:
            pixels: (B, 2) height and width of the image, which starts at the top left.
            positions: (2,) n and m.
            rule: "centre" asks for a window's centre in the image, "window" for all of it.

        Returns:
            (B, 2) int64, at least 1: there is always one position.
        """
        needed = self.side / 2 if rule == "centre" else self.side
        fitting = ((pixels - needed + SLACK) / self.step).floor().long() + 1
        return fitting.clamp(min=1).minimum(positions)

    def in_boxes(
        self, boxes: Tensor, inside: Tensor, positions: tuple[int, int], classes: int
    ) -> Tensor:
        """Mask of the windows that have their centre in a box, class by class.

        A box always has one window at least: the one whose centre is nearest to its own.

        Args:
            boxes: (N, 5), rows x0, y0, x1, y1 in pixels, half-open, and class index.
            inside: (2,) of `inside`; the nearest window is one of these.
            positions: n and m.

        Returns:
            (K, n, m) bool, False for classes without a box.
        """
        x0, y0, x1, y1, labels = boxes.T
        rows = self._within(y0, y1, inside[0], positions[0])
        columns = self._within(x0, x1, inside[1], positions[1])
        of_class = F.one_hot(labels.long(), classes).float()
        return torch.einsum("bk,bi,bj->kij", of_class, rows, columns) > 0

    def place(self, scores: Tensor, where: Frame, cells: tuple[int, int]) -> Tensor:
        """Scores of windows as a map in the frame of the network's input, bilinear.

        Only windows inside the image are read: between their centres values are interpolated,
        beyond the last ones they stay the same, over padding too.

        Args:
            scores: (K, n, m) of one image.
            cells: h and w of the map.

        Returns:
            (K, h, w).
        """
        rows, columns = (
            self._weights(where, axis, cells[axis], scores.shape[1 + axis]).to(scores)
            for axis in (0, 1)
        )
        with torch.autocast(scores.device.type, enabled=False):
            return rows @ scores @ columns.T

    def _within(self, low: Tensor, high: Tensor, inside: Tensor, positions: int) -> Tensor:
        """(N, n) float, 1 for windows whose centre is in [low, high), or nearest to its middle."""
        index = torch.arange(positions, device=low.device)
        centres = self.step * index + self.side / 2
        middle = ((low + high - self.side) / 2 / self.step).round().long()
        nearest = middle.clamp(min=0).minimum(inside - 1)
        within = (low[:, None] <= centres) & (centres < high[:, None])
        return (within | (index == nearest[:, None])).float()

    def _weights(self, where: Frame, axis: int, cells: int, positions: int) -> Tensor:
        """(h, n) share of every window in every cell of one axis; a row adds up to 1."""
        cell = (torch.arange(cells) + 0.5) / cells
        if where.placement == "stretch":
            at = cell / where.extent[axis] * where.inside[axis] - 0.5
        else:
            at = (cell * where.pixels[axis] - self.side / 2) / self.step
        at = at.clamp(0, where.inside[axis] - 1)
        return (1 - (at[:, None] - torch.arange(positions)).abs()).clamp(min=0)


class Frame(NamedTuple):
    """Layout of one image's windows at one scale in the frame of the network's input.

    Attributes:
        pixels: height and width of the input at that scale.
        extent: share of both that is image.
        inside: windows in both directions that are inside the image.
        placement: "stretch" spreads them evenly over the image, as when their scores, taken for
            an image themselves, are rescaled to its size; "centres" puts each at its centre.
    """

    pixels: tuple[int, int]
    extent: tuple[float, float]
    inside: tuple[int, int]
    placement: Placement


def map_rows(backbone: Backbone, side: int) -> int:
    """Rows of a backbone's map for a square input, worked out without any arithmetic."""
    state = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    with torch.no_grad():
        images = torch.empty(1, 3, side, side, device="meta")
        features: Tensor = functional_call(backbone, shapes, (images,))
    return features.shape[2]


def _measure(backbone: Backbone) -> tuple[int, int]:
    """Side and step."""
    rows = map_rows(backbone, backbone.input_size) + 1
    grown = _least_side(backbone, rows, backbone.input_size)
    step = _least_side(backbone, rows + 1, grown) - grown
    least = grown - step * (rows - backbone.grid)
    return max(least, backbone.grid * step), step


def _least_side(backbone: Backbone, rows: int, start: int) -> int:
    """The least side, from `start` on, of an input whose map has that many rows."""
    return next(side for side in count(start) if map_rows(backbone, side) >= rows)
