"""Centre: a classifier that always points at the middle of the image (Oquab, section 5).

Shapes: B batch, K classes, S side of the input, h w size of a map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count
from typing import ClassVar

import torch
from torch import Tensor

from workloads.methods.base import Localization
from workloads.methods.cam import Cam
from workloads.methods.classification import class_scores


class Centre(Cam):
    """CAM's network for the scores; the map of every class is one and the same cone.

    Its peak is the middle of the image. Normalised, it falls to 0 in the corners alone, so the
    box of a low cut-off is the whole image and of a higher one a centred box of its shape (of thin
    images that were padded, about its shape: few rows or columns of the map are theirs).
    So the rows "Center" (SPN, table 2) and "center prediction" (Oquab, table 2) and a centred box
    can be had wherever a method can.

    Presets:
        paper (the default): CAM's network of that preset.
        tiny: CAM's for the small backbone.
    """

    name: ClassVar[str] = "centre-point"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = Cam.presets

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K) of (B, 3, S, S) normalised images, and (n, h, w) cones, at most 1.

        h and w are those of CAM's map or slightly larger, see `cone`.
        """
        features = self.features(images)
        height, width = features.shape[2:]
        shares = torch.ones(len(images), 2) if extents is None else extents.cpu()

        def maps_of(wanted: Sequence[Sequence[int]]) -> list[tuple[Tensor, ...]]:
            cones = (cone(height, width, (float(y), float(x))) for y, x in shares)
            return [
                (one.to(images.device).expand(len(labels), -1, -1),)
                for one, labels in zip(cones, wanted, strict=True)
            ]

        return Localization(class_scores(self._logits(features), self.task), maps_of)


def cone(height: int, width: int, extent: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """A map that falls linearly from the middle of the image part of an input.

    A map with an even number of rows or columns has no middle one: upsampled, its highest values
    would form a plateau, and the first of them lies off the centre. So the sides grow until the
    image's part of them, rounded up, is odd.

    Args:
        height, width: of the map over the input, at least.
        extent: the share of the input's height and width that is image, from the top left.

    Returns:
        (h, w) float32: 1 in the middle, 0 in the corners of the image, less in the padding.
    """
    y, x = (_offsets(side, share) for side, share in zip((height, width), extent, strict=True))
    return 1 - torch.sqrt((y[:, None] ** 2 + x[None, :] ** 2) / 2)


def _offsets(side: int, share: float) -> Tensor:
    """(n >= side,) offsets of positions from the middle of the image, whose edges are -1 and 1."""
    side = next(n for n in count(side) if math.ceil(n * share) % 2)
    positions = (torch.arange(side) + 0.5) / (side * share)
    return 2 * positions - 1
