"""Maps that cost work for each class: computed for one class of every image at a time.

Every round has the whole batch, also where an image wants no further class: arithmetic libraries
choose their kernels by the size of a batch, and an image's map must not depend on how many classes
the other images want (see `workloads.models.localizer`).

Shapes: B batch, n wanted classes of an image, h w map size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

MapOf = Callable[[Tensor], Tensor]
"""From (B,) int64 class indices, one for each image, to their (B, h, w) maps."""


def one_class_at_a_time(
    wanted: Sequence[Sequence[int]], map_of: MapOf, size: tuple[int, int], device: torch.device
) -> list[tuple[Tensor, ...]]:
    """Maps of all wanted classes at one scale, computed one class at a time.

    Args:
        wanted: the class indices of each of the B images.
        size: (h, w), for images that want nothing.
        device: device of class indices and maps.

    Returns:
        One (n, h, w) float32 tensor for each image.
    """
    longest = max((len(labels) for labels in wanted), default=0)
    maps = []
    for turn in range(longest):
        labels = [row[turn] if turn < len(row) else 0 for row in wanted]
        maps.append(map_of(torch.tensor(labels, device=device)).float())
    nothing = torch.zeros(0, *size, device=device)
    return [
        (torch.stack([m[image] for m in maps[: len(labels)]]) if labels else nothing,)
        for image, labels in enumerate(wanted)
    ]
